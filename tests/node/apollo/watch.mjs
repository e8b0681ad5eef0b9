// Subscribes to documents and writes what comes as one JSON object a line, until all have ended or the process is stopped.
// node watch.mjs BASE_URL '[{"query": "…", "variables": {…}}, …]'
// {"operation": index, "type": "next" | "error" | "complete", "payload": …}; a lost socket is an error {"code", "reason"}.
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const [baseUrl, documents] = process.argv.slice(2);
const socket = new URL('/graphql', baseUrl);
socket.protocol = socket.protocol === 'https:' ? 'wss:' : 'ws:';
const client = createClient({ url: socket.href, webSocketImpl: WebSocket, retryAttempts: 0 });

process.stdout.on('error', () => process.exit()); // nobody reads any more
const write = (operation, type, payload) => process.stdout.write(`${JSON.stringify({ operation, type, payload })}\n`);

/** GraphQL errors as they came, a close by its code and reason, anything else by its message. */
function described(error) {
  if (Array.isArray(error)) return error;
  if ('code' in error) return { code: error.code, reason: String(error.reason ?? error.message) };
  return { message: error.message };
}

JSON.parse(documents).forEach((document, operation) => {
  client.subscribe(document, {
    next: (payload) => write(operation, 'next', payload),
    error: (error) => write(operation, 'error', described(error)),
    complete: () => write(operation, 'complete'),
  });
});
