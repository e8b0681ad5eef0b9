/* global EDITOR_WORKER, GRAPHQL_WORKER, JSON_WORKER */
const WORKERS = { graphql: GRAPHQL_WORKER, json: JSON_WORKER };

globalThis.MonacoEnvironment = {
  getWorker: (_id, label) => new Worker(WORKERS[label] ?? EDITOR_WORKER),
};
