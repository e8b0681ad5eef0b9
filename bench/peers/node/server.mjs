// node server.mjs KIND PORT CONTROL_PORT SHAPE_FILE
// KIND: raw, graphql-ws, mercurius, mercurius-jit, mercurius-jit-held, yoga, yoga-jit
import http from 'node:http'

import { execute, subscribe } from 'graphql'
import { useServer } from 'graphql-ws/use/ws'
import { WebSocketServer } from 'ws'

import { control, Data } from './data.mjs'

const PATH = '/graphql'
const [kind, port, controlPort, file] = process.argv.slice(2)
const data = new Data(file, { held: kind.endsWith('-held') })
const where = { port: Number(port), host: '127.0.0.1', backlog: 4096 }

// The limits: one prepared frame to every socket, one prepared answer to every request.
function raw () {
  const body = Buffer.from(JSON.stringify(data.shape.answer))
  const server = http.createServer((request, response) => {
    request.resume()
    request.on('end', () => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length })
      response.end(body)
    })
  })
  const sockets = new WebSocketServer({ server, path: PATH, perMessageDeflate: false, handleProtocols: () => 'graphql-transport-ws' })
  control(controlPort, (line) => {
    const frame = Buffer.from(`{"type":"next","payload":{"data":{"priceTicks":${line}}},"id":"00000000-0000-4000-8000-000000000000"}`)
    for (const socket of sockets.clients) socket.send(frame, { binary: false })
  })
  server.listen(where)
}

function graphqlWs () {
  const server = http.createServer((_request, response) => response.writeHead(404).end())
  useServer({ schema: data.schema(), execute, subscribe }, new WebSocketServer({ server, path: PATH, perMessageDeflate: false }))
  server.listen(where)
}

async function mercurius (jit) {
  const { default: fastify } = await import('fastify')
  const { default: plugin } = await import('mercurius')
  const server = fastify({ logger: false })
  server.register(plugin, {
    schema: data.schema(),
    path: PATH,
    graphiql: false,
    jit: jit ? 1 : 0,
    context: (request) => ({ viewer: data.viewer(request.headers.authorization) }),
    subscription: true
  })
  await server.listen(where)
}

async function yoga (jit) {
  const { createYoga } = await import('graphql-yoga')
  const { useGraphQlJit } = await import('@envelop/graphql-jit')
  const server = createYoga({
    schema: data.schema(),
    plugins: jit ? [useGraphQlJit()] : [],
    logging: false,
    graphiql: false,
    maskedErrors: false,
    context: ({ request }) => ({ viewer: request ? data.viewer(request.headers.get('authorization')) : null })
  })
  const listener = http.createServer(server)
  const options = {
    execute: (args) => args.rootValue.execute(args),
    subscribe: (args) => args.rootValue.subscribe(args),
    onSubscribe: async (context, _id, params) => {
      const enveloped = server.getEnveloped({ ...context, params })
      const document = enveloped.parse(params.query)
      const errors = enveloped.validate(enveloped.schema, document)
      if (errors.length > 0) return errors
      return {
        schema: enveloped.schema,
        document,
        operationName: params.operationName,
        variableValues: params.variables,
        contextValue: await enveloped.contextFactory(),
        rootValue: { execute: enveloped.execute, subscribe: enveloped.subscribe }
      }
    }
  }
  useServer(options, new WebSocketServer({ server: listener, path: PATH, perMessageDeflate: false }))
  listener.listen(where)
}

const kinds = {
  raw,
  'graphql-ws': graphqlWs,
  mercurius: () => mercurius(false),
  'mercurius-jit': () => mercurius(true),
  'mercurius-jit-held': () => mercurius(true),
  yoga: () => yoga(false),
  'yoga-jit': () => yoga(true)
}
if (!(kind in kinds) || !file) {
  console.error(`usage: node server.mjs KIND PORT CONTROL_PORT SHAPE_FILE\nKIND: ${Object.keys(kinds).join(', ')}`)
  process.exit(2)
}
await kinds[kind]()
if (kind !== 'raw') control(controlPort, (line) => data.take(JSON.parse(line)))
