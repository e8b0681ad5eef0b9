// Plain JavaScript without a build: the bundle and the page that loads its libraries from elsewhere share it.
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import { parse } from 'graphql';
import { createElement } from 'react';
import { createRoot } from 'react-dom/client';

const NOTICE_LINE = /^#!.*\n/gm;

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

/** GraphiQL needs a moment to see that another tab is in front, and until then names the operation of the one before. */
function namingOwnOperation(fetcher) {
  return (request, options) => {
    const documentAST = parsed(request.query);
    const operations = documentAST?.definitions.filter(({ kind }) => kind === 'OperationDefinition') ?? [];
    const operationName = operations.length === 1 ? operations[0].name?.value : request.operationName;
    return fetcher({ ...request, operationName }, { ...options, documentAST });
  };
}

const { notice, comment, tabs } = JSON.parse(document.getElementById('cryptovault').textContent);
refreshStoredTabs(comment);
const linked = linkedTab();
const endpoint = new URL('/graphql', location.href);
const socket = new URL(endpoint);
socket.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';

createRoot(document.getElementById('graphiql')).render(
  createElement(
    GraphiQL,
    {
      fetcher: namingOwnOperation(
        createGraphiQLFetcher({
          url: endpoint.href,
          subscriptionUrl: socket.href,
          enableIncrementalDelivery: false,
        }),
      ),
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
