// What every peer serves: the markets of the file that the bench writes, users by their token, and the ticks of the control port.
import { readFileSync } from 'node:fs'
import net from 'node:net'

import { makeExecutableSchema } from '@graphql-tools/schema'
import { createVerifier } from 'fast-jwt'
import { GraphQLScalarType } from 'graphql'

const scalars = Object.fromEntries(
  [['Decimal', String], ['DateTime', String], ['Long', Number]].map(([name, serialize]) => [name, new GraphQLScalarType({ name, serialize })])
)

export class Data {
  // `held`: whether verified tokens are remembered, as fast-jwt offers it.
  constructor (file, { held }) {
    const shape = JSON.parse(readFileSync(file, 'utf8'))
    this.shape = shape
    this.markets = shape.markets
    this.tickers = new Map(shape.markets.map((market) => [market.symbol, market.ticker]))
    this.verify = createVerifier({ key: shape.publicKey, algorithms: ['EdDSA'], allowedIss: shape.issuer, allowedAud: shape.audience, cache: held })
    this.ticks = new Ticks()
  }

  // The account of an `authorization` header; null without one. Throws when the token is not valid.
  viewer (authorization) {
    return authorization?.startsWith('Bearer ') ? this.shape.users[this.verify(authorization.slice(7)).sub] : null
  }

  take (tick) {
    const ticker = this.tickers.get(tick.symbol)
    if (ticker) Object.assign(ticker, { last: tick.price, bid: tick.bid, ask: tick.ask })
    this.ticks.publish(tick)
  }

  schema () {
    const resolvers = {
      ...scalars,
      Query: {
        markets: (_root, { first }) => {
          const nodes = this.markets.slice(0, first)
          return { nodes, pageInfo: { hasNextPage: nodes.length < this.markets.length, endCursor: nodes.at(-1).id } }
        },
        viewer: (_root, _arguments, context) => context.viewer
      },
      Subscription: {
        priceTicks: { subscribe: (_root, { symbols }) => this.ticks.read(symbols), resolve: (tick) => tick }
      }
    }
    return makeExecutableSchema({ typeDefs: readFileSync(new URL('../schema.graphql', import.meta.url), 'utf8'), resolvers })
  }
}

// One queue a reader, the cheapest source a subscription can have.
class Ticks {
  #readers = new Map()

  publish (tick) {
    for (const reader of this.#readers.get(tick.symbol) ?? []) reader.put(tick)
  }

  read (symbols) {
    const reader = new Reader(() => { for (const symbol of symbols) this.#readers.get(symbol).delete(reader) })
    for (const symbol of symbols) {
      if (!this.#readers.has(symbol)) this.#readers.set(symbol, new Set())
      this.#readers.get(symbol).add(reader)
    }
    return reader
  }
}

class Reader {
  #waiting = []
  #asked = []
  #leave

  constructor (leave) { this.#leave = leave }

  put (value) {
    const asked = this.#asked.shift()
    if (asked) asked({ value, done: false })
    else this.#waiting.push(value)
  }

  next () {
    if (this.#waiting.length > 0) return Promise.resolve({ value: this.#waiting.shift(), done: false })
    return new Promise((resolve) => this.#asked.push(resolve))
  }

  return () {
    this.#leave()
    for (const asked of this.#asked) asked({ value: undefined, done: true })
    return Promise.resolve({ value: undefined, done: true })
  }

  [Symbol.asyncIterator] () { return this }
}

// Take lines on a port of its own until the process ends.
export function control (port, onLine) {
  net.createServer((connection) => {
    let rest = ''
    connection.setEncoding('utf8')
    connection.on('data', (text) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop()
      lines.forEach(onLine)
    })
    connection.on('error', () => connection.destroy())
  }).listen(port, '127.0.0.1')
}
