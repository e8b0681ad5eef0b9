// A React frontend's cache without the frontend: what a query read is changed by what a subscription pushes.
// node cache.mjs BASE_URL SYMBOL socket|sse|multipart prints one JSON object; it ends with status 1 when no other price comes in time.
import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from '@apollo/client/core';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { print } from 'graphql';
import { createClient as createEventStreams } from 'graphql-sse';
import { createClient } from 'graphql-ws';
import { Observable } from 'rxjs';
import WebSocket from 'ws';

const WAIT_MS = 30_000;
const MARKET = gql`
  query Market($symbol: String!) {
    market(symbol: $symbol) {
      id
      ticker {
        id
        last
      }
    }
  }
`;
const TICKERS = gql`
  subscription Tickers($symbols: [String!]!) {
    tickers(symbols: $symbols) {
      id
      last
    }
  }
`;

const [baseUrl, symbol, transport] = process.argv.slice(2);
const endpoint = new URL('/graphql', baseUrl);
const socket = new URL(endpoint);
socket.protocol = endpoint.protocol === 'https:' ? 'wss:' : 'ws:';

let requests = 0;
const countingFetch = (...request) => {
  requests += 1;
  return fetch(...request);
};
const wsClient = createClient({ url: socket.href, webSocketImpl: WebSocket, retryAttempts: 0 });
const events = createEventStreams({ url: endpoint.href, retryAttempts: 0 });
const subscriptions = {
  socket: () => new GraphQLWsLink(wsClient),
  sse: () =>
    new ApolloLink(
      ({ query, variables }) =>
        new Observable((observer) => events.subscribe({ query: print(query), variables }, observer)),
    ),
  multipart: () => new HttpLink({ uri: endpoint.href }),
};
const client = new ApolloClient({
  cache: new InMemoryCache(),
  link: ApolloLink.split(
    ({ operationType }) => operationType === 'subscription',
    subscriptions[transport](),
    new HttpLink({ uri: endpoint.href, fetch: countingFetch }),
  ),
});
const read = (fetchPolicy) => client.query({ query: MARKET, variables: { symbol }, fetchPolicy });

/** The first pushed ticker whose price is not the one the query read. */
function pushedOtherThan(last) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no other price was pushed in time')), WAIT_MS);
    const subscription = client.subscribe({ query: TICKERS, variables: { symbols: [symbol] } }).subscribe({
      next: ({ data, error }) => {
        if (error) reject(error);
        if (data?.tickers.last === last) return;
        clearTimeout(timer);
        subscription.unsubscribe();
        resolve(data?.tickers);
      },
      error: reject,
    });
  });
}

const queried = (await read('network-only')).data.market;
const pushed = await pushedOtherThan(queried.ticker.last);
const cached = (await read('cache-only')).data.market;
const entities = Object.keys(client.cache.extract()).filter((key) => key.startsWith('Ticker:'));
client.stop();
await wsClient.dispose();
events.dispose();
console.log(JSON.stringify({ queried, pushed, cached, entities, requests }));
