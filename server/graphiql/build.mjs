// Bundles GraphiQL into dist/: every file named by its content, and manifest.json that says which of them the page loads.
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { build } from 'esbuild';

const ASSETS = '/graphiql/assets/';
const DIST = 'dist';

const shared = {
  bundle: true,
  minify: true,
  metafile: true,
  outdir: DIST,
  legalComments: 'linked',
  target: 'es2022',
  entryNames: '[name]-[hash]',
  chunkNames: 'chunk-[hash]',
  assetNames: '[name]-[hash]',
  define: { 'process.env.NODE_ENV': '"production"' },
  logLevel: 'warning',
};

// graphiql/style.css already holds the editor's styles.
const withoutEditorStyles = {
  name: 'without-editor-styles',
  setup(bundle) {
    bundle.onLoad({ filter: /monaco-editor[\\/].*\.css$/ }, () => ({ contents: '', loader: 'js' }));
  },
};

function outputOf(result, source) {
  const [path, output] = Object.entries(result.metafile.outputs).find(([, entry]) => entry.entryPoint === source);
  return { script: basename(path), style: output.cssBundle && basename(output.cssBundle) };
}

async function buildWorkers() {
  const sources = {
    EDITOR_WORKER: 'node_modules/monaco-editor/esm/vs/editor/editor.worker.js',
    GRAPHQL_WORKER: 'node_modules/monaco-graphql/esm/graphql.worker.js',
    JSON_WORKER: 'node_modules/monaco-editor/esm/vs/language/json/json.worker.js',
  };
  const result = await build({ ...shared, entryPoints: Object.values(sources), format: 'iife' });
  return Object.fromEntries(
    Object.entries(sources).map(([name, source]) => [name, JSON.stringify(ASSETS + outputOf(result, source).script)]),
  );
}

await rm(DIST, { recursive: true, force: true });
await mkdir(DIST);
const workers = await buildWorkers();
const result = await build({
  ...shared,
  entryPoints: ['src/bundle.js'],
  format: 'esm',
  splitting: true,
  define: { ...shared.define, ...workers },
  plugins: [withoutEditorStyles],
});
await writeFile(`${DIST}/manifest.json`, JSON.stringify(outputOf(result, 'src/bundle.js')));
