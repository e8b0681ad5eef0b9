// Plain JavaScript without a build: the bundle and the page that loads its libraries from elsewhere share it.
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import { parse } from 'graphql';
import { createClient } from 'graphql-ws';
import { createElement } from 'react';
import { createRoot } from 'react-dom/client';

const NOTICE_LINE = /^#!.*\n/gm;
const endpoint = new URL('/graphql', location.href);
const socket = new URL(endpoint);
socket.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';

/** A document that began with the server's notice, with the notice as it is now. */
function refreshed(text, notice) {
  return text?.startsWith('#!') ? notice + text.replace(NOTICE_LINE, '') : text;
}

/** Tabs are kept by the browser: without this a page would go on saying what was simulated when it was first opened. */
function refreshStoredTabs(notice) {
  try {
    const query = localStorage.getItem('graphiql:query');
    const stored = JSON.parse(localStorage.getItem('graphiql:tabState'));
    const tabs = stored?.tabs.map((tab) => ({ ...tab, query: refreshed(tab.query, notice) }));
    if (query !== null) localStorage.setItem('graphiql:query', refreshed(query, notice));
    if (tabs) localStorage.setItem('graphiql:tabState', JSON.stringify({ ...stored, tabs }));
  } catch (error) {
    console.warn('The stored tabs cannot be read; starting with new ones.', error);
    localStorage.removeItem('graphiql:query');
    localStorage.removeItem('graphiql:tabState');
  }
}

/** What a link such as /graphql?query=…&variables=… asks to show; nothing runs by itself. */
function linkedTab() {
  const link = new URLSearchParams(location.search);
  return link.has('query') ? [{ query: link.get('query'), variables: link.get('variables') }] : [];
}

/** The document, or undefined where it has a syntax error, which is for the server to explain. */
function parsed(query) {
  try {
    return parse(query);
  } catch {
    return undefined;
  }
}

/** What to show for a socket's failure: its events say nothing when they are printed. */
function readable(error) {
  if (error instanceof CloseEvent) return { message: `the socket was closed with ${error.code} ${error.reason}`.trim() };
  if (error instanceof Event) return { message: `${socket.href} cannot be opened: no server, or it refuses this page` };
  return error;
}

/** The events of a subscription. A socket that was open once is opened again when it is lost. */
function subscribe(payload, headers) {
  let connected = false;
  const client = createClient({
    url: socket.href,
    connectionParams: headers,
    shouldRetry: () => connected,
    on: { connected: () => (connected = true) },
  });
  const events = client.iterate(payload);
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next: () => events.next().catch((error) => Promise.reject(readable(error))),
    return: () => events.return(),
  };
}

const ask = createGraphiQLFetcher({ url: endpoint.href, enableIncrementalDelivery: false });

/** GraphiQL needs a moment to see that another tab is in front; the kind and name of the operation are taken from its text. */
function fetcher(request, options) {
  const operations = parsed(request.query)?.definitions.filter(({ kind }) => kind === 'OperationDefinition') ?? [];
  const operationName = operations.length === 1 ? operations[0].name?.value : request.operationName;
  const chosen = operations.find(({ name }) => name?.value === operationName);
  const payload = { ...request, operationName };
  return chosen?.operation === 'subscription' ? subscribe(payload, options?.headers) : ask(payload, options);
}

const { notice, comment, tabs } = JSON.parse(document.getElementById('cryptovault').textContent);
refreshStoredTabs(comment);
const linked = linkedTab();

createRoot(document.getElementById('graphiql')).render(
  createElement(
    GraphiQL,
    {
      fetcher,
      defaultTabs: [...linked, ...tabs.map((query) => ({ query }))],
      initialQuery: linked[0]?.query,
      initialVariables: linked[0]?.variables ?? undefined,
      defaultEditorToolsVisibility: false,
      inputValueDeprecation: true,
      schemaDescription: true,
    },
    createElement(GraphiQL.Logo, null, 'CryptoVault'),
    createElement(GraphiQL.Footer, null, createElement('p', { className: 'cryptovault-notice' }, notice)),
  ),
);
