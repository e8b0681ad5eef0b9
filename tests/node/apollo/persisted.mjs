// Automatic persisted queries: a client sends a document's hash first, and the document only when it is asked for it.
// node persisted.mjs BASE_URL prints one JSON object: what two clients sent and were told, in order.
import { createHash, randomBytes } from 'node:crypto';
import { ApolloClient, gql, HttpLink, InMemoryCache } from '@apollo/client/core';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';

const endpoint = new URL('/graphql', process.argv[2]);
const query = gql(`query Persisted_${randomBytes(8).toString('hex')} { market(symbol: "BTC-USDT") { id symbol } }`);
const exchanges = [];

async function recordingFetch(uri, options) {
  const sent = JSON.parse(options.body);
  const response = await fetch(uri, options);
  const answer = await response.clone().json();
  exchanges.push({
    document: 'query' in sent,
    hash: sent.extensions.persistedQuery.sha256Hash,
    status: response.status,
    code: answer.errors?.[0].extensions?.code ?? null,
  });
  return response;
}

async function ask() {
  const sha256 = (document) => createHash('sha256').update(document).digest('hex');
  const link = new PersistedQueryLink({ sha256 }).concat(new HttpLink({ uri: endpoint.href, fetch: recordingFetch }));
  const client = new ApolloClient({ cache: new InMemoryCache(), link });
  const { data } = await client.query({ query });
  client.stop();
  return data.market.symbol;
}

const symbols = [await ask(), await ask()];
console.log(JSON.stringify({ symbols, exchanges }));
