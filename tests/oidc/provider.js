// A provider of OpenID Connect on loopback: node provider.js PORT whole|bare. With `whole`, its ID tokens say
// everything; with `bare`, it has to be asked for more than the subject. It serves until its standard input closes.
//
// What it signs by the protocol comes from oidc-provider. Under /test, a test asks for what no provider would sign,
// and for new keys.
import { createServer } from 'node:http';
import { createHmac } from 'node:crypto';
import { SignJWT, UnsecuredJWT, exportJWK, exportSPKI, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

const port = Number(process.argv[2]);
const whole = process.argv[3] === 'whole';
const issuer = `http://localhost:${port}`;
const API = 'https://weir.example/api';

const PEOPLE = {
  anna: { email: 'anna@example.com', email_verified: true, groups: ['staff', 'weir-operators'] },
  vera: { preferred_username: 'vera', groups: ['weir-viewers'] },
  otto: { email: 'anna@example.com', email_verified: false, groups: ['staff'] },
};

async function newKeys(generation) {
  const of = async (alg) => {
    const pair = await generateKeyPair(alg, { extractable: true, modulusLength: 2048 });
    const jwk = await exportJWK(pair.privateKey);
    const kid = `${alg}-${generation}`;
    return { ...pair, alg, kid, jwk: { ...jwk, alg, kid, use: 'sig' } };
  };
  return Promise.all(['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'].map(of));
}

let generation = 0;
let keys = await newKeys(generation);
let old = [];

function configuration(clients) {
  return {
    jwks: { keys: keys.map((key) => key.jwk) },
    clients,
    claims: {
      openid: ['sub'],
      email: ['email', 'email_verified'],
      profile: ['preferred_username'],
      groups: ['groups'],
    },
    scopes: ['openid', 'email', 'profile', 'groups'],
    pkce: { required: () => true },
    conformIdTokenClaims: !whole,
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, ...PEOPLE[id] }),
    }),
    cookies: { keys: ['made up for tests'] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        getResourceServerInfo: () => ({
          scope: 'api',
          audience: 'weir',
          accessTokenFormat: 'jwt',
          accessTokenTTL: 600,
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
    extraTokenClaims: (_, token) =>
      token.kind === 'ClientCredentials' ? { groups: ['weir-pipelines'], sub: token.clientId } : {},
    ttl: { Session: 600, Interaction: 600, Grant: 600, IdToken: 600, AccessToken: 600 },
  };
}

let clients = [];
const make = () => {
  const provider = new Provider(issuer, configuration(clients));
  // Weir is another host of this machine here.
  provider.on('server_error', (_, error) => console.error(error));
  return provider.callback();
};
let answer = make();

async function body(request) {
  let text = '';
  for await (const part of request) text += part;
  return text === '' ? {} : JSON.parse(text);
}

// Signs what a test asks for: {claims, alg, typ, kid, sign: "none" | "HS256" | "other" | "old"}.
async function signed({ claims, alg = 'RS256', typ, kid, sign }) {
  const key = keys.find((key) => key.alg === alg);
  const header = { alg, kid: kid === undefined ? key.kid : kid, ...(typ && { typ }) };
  if (header.kid === null) delete header.kid;
  if (sign === 'none') return new UnsecuredJWT(claims).encode();
  if (sign === 'HS256') {
    // The public key as a shared secret: the oldest attack on libraries for JWTs.
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const text = `${part({ ...header, alg: 'HS256' })}.${part(claims)}`;
    const mac = createHmac('sha256', await exportSPKI(key.publicKey)).update(text);
    return `${text}.${mac.digest('base64url')}`;
  }
  let signing = key.privateKey;
  if (sign === 'other') signing = (await generateKeyPair(alg, { modulusLength: 2048 })).privateKey;
  if (sign === 'old') {
    const before = old.find((key) => key.alg === alg);
    [signing, header.kid] = [before.privateKey, before.kid];
  }
  return new SignJWT(claims).setProtectedHeader(header).sign(signing);
}

const TEST = {
  // Registers the clients, once the test knows the port of its Weir.
  '/test/clients': async (request) => {
    clients = await body(request);
    answer = make();
    return {};
  },
  '/test/rotate': async () => {
    [old, keys] = [keys, await newKeys(++generation)];
    answer = make();
    return {};
  },
  '/test/jwt': async (request) => ({ jwt: await signed(await body(request)) }),
};

const server = createServer(async (request, response) => {
  const asked = TEST[request.url];
  if (asked === undefined) return answer(request, response);
  try {
    response.end(JSON.stringify(await asked(request)));
  } catch (error) {
    response.writeHead(500);
    response.end(String(error.stack));
  }
});
server.listen(port, '127.0.0.1', () => console.log('listening'));
process.stdin.on('end', () => process.exit(0)).resume();
