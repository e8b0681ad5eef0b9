// An OpenID provider on 127.0.0.1: node provider.mjs PORT REDIRECT_URI... (port 0: a free one). Prints {"issuer"} when it listens
// and ends with its standard input. Nobody types anything: it signs in the account named by login_hint (alice without one),
// consents for it, and answers access_denied for an account it does not know.
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const [port, ...redirectUris] = process.argv.slice(2);
const accounts = {
  alice: { name: 'Alice Example', email: 'alice@example.com', email_verified: true },
  bob: { name: 'Bob Example', email: 'bob@example.com', email_verified: false },
  carol: {},
};
const algorithms = {
  RS256: ['rsa', { modulusLength: 2048 }],
  PS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  EdDSA: ['ed25519', {}],
};
const keys = Object.entries(algorithms).map(([alg, [type, options]]) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }),
  alg,
  kid: alg,
  use: 'sig',
}));
const client = (alg, method) => ({
  client_id: `cryptovault-${alg.toLowerCase()}`,
  ...(method === 'none' ? {} : { client_secret: 'a secret: 100% local+only' }),
  token_endpoint_auth_method: method,
  id_token_signed_response_alg: alg,
  redirect_uris: redirectUris,
});

const server = createServer();
server.listen(Number(port), '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    client('RS256', 'client_secret_basic'),
    client('PS256', 'client_secret_basic'),
    client('ES256', 'client_secret_basic'),
    client('EdDSA', 'none'),
  ],
  jwks: { keys },
  enabledJWA: { idTokenSigningAlgValues: Object.keys(algorithms) },
  pkce: { required: () => true },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  cookies: { keys: ['only for tests'] },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, id) => (accounts[id] ? { accountId: id, claims: () => ({ sub: id, ...accounts[id] }) } : undefined),
  async loadExistingGrant({ oidc }) {
    const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope('openid email profile');
    await grant.save();
    return grant;
  },
});
provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) {
    return next();
  }
  const { params } = await provider.interactionDetails(ctx.req, ctx.res);
  const accountId = params.login_hint ?? 'alice';
  const result = accounts[accountId] ? { login: { accountId } } : { error: 'access_denied' };
  ctx.respond = false;
  return provider.interactionFinished(ctx.req, ctx.res, result);
});
server.on('request', provider.callback());
process.stdin.on('end', () => process.exit()).resume();
console.log(JSON.stringify({ issuer }));
