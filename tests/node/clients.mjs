// Talks to a server as frontends do, with graphql-ws and Apollo's persisted queries, and prints what they saw as JSON.
import { createHash } from 'node:crypto';
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const [url, wsUrl] = process.argv.slice(2);
const seen = {};

const socket = createClient({ url: wsUrl, webSocketImpl: WebSocket, retryAttempts: 0 });
seen.events = [];
for await (const { data } of socket.iterate({ query: 'subscription { count(to: 3) }' })) {
  seen.events.push(data.count);
}
try {
  for await (const _ of socket.iterate({ query: 'subscription { nothing }' }));
} catch (errors) {
  seen.refused = errors[0].extensions.code;
}
await socket.dispose();

seen.requests = [];
const counting = (input, options) => {
  const { query, extensions } = options?.body ? JSON.parse(options.body) : {};
  seen.requests.push({ method: options?.method ?? 'GET', query: Boolean(query), persisted: Boolean(extensions) });
  return fetch(input, options);
};
const sha256 = (text) => createHash('sha256').update(text).digest('hex');
for (const useGETForHashedQueries of [false, true]) {
  const client = new ApolloClient({
    cache: new InMemoryCache(),
    link: ApolloLink.from([
      new PersistedQueryLink({ sha256, useGETForHashedQueries }),
      new HttpLink({ uri: url, fetch: counting }),
    ]),
  });
  const query = useGETForHashedQueries ? gql`{ quiet }` : gql`{ sequence }`;
  const first = await client.query({ query, fetchPolicy: 'network-only' });
  const second = await client.query({ query, fetchPolicy: 'network-only' });
  (seen.apollo ??= []).push(first.data, second.data);
}
console.log(JSON.stringify(seen));
