// An OAuth 2.0 authorization server for tests: node authorization_server.mjs PORT CLIENT_JWK_FILE
// Prints "ready" once it listens on 127.0.0.1. Everything is in memory.
import fs from 'node:fs';
import http from 'node:http';
import { Provider } from 'oidc-provider';

const [port, jwkFile] = process.argv.slice(2);
const jwk = JSON.parse(fs.readFileSync(jwkFile, 'utf8'));
const client = { grant_types: ['client_credentials'], redirect_uris: [], response_types: [] };
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    { ...client, client_id: 'basic', client_secret: 'a basic+secret', token_endpoint_auth_method: 'client_secret_basic' },
    { ...client, client_id: 'post', client_secret: 'a-post-secret', token_endpoint_auth_method: 'client_secret_post' },
    { ...client, client_id: 'key', token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'ES256', jwks: { keys: [jwk] } },
  ],
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
    devInteractions: { enabled: false },
  },
  ttl: { ClientCredentials: 600 },
});
http.createServer(provider.callback()).listen(Number(port), '127.0.0.1', () => console.log('ready'));
