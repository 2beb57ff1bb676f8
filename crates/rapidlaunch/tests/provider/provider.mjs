// A provider of identities for tests: oidc-provider on a port of its own, which signs in whoever it is told to, without a form.
// Prints its issuer on a line, and ends with its standard input. POST /test/wish {account, groups, deny, tamper, rotate} says what
// comes next; `tamper` makes ID tokens that are wrong in one way, `rotate` changes the signing key.
import http from 'node:http'
import { exportJWK, generateKeyPair, importJWK, SignJWT, UnsecuredJWT, decodeJwt } from 'jose'
import { Provider } from 'oidc-provider'

// What it notices would go to standard output, where nobody reads after the first line.
console.info = () => {}

const [callback, secret, claimsIn] = process.argv.slice(2)
const wish = { account: 'maria', groups: [] }

async function makeKey(kid) {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true })
  return { ...(await exportJWK(privateKey)), kid, alg: 'RS256', use: 'sig' }
}

const publicPart = ({ kty, n, e, kid, alg, use }) => ({ kty, n, e, kid, alg, use })
const first = await makeKey('first')
let signing = first

const server = http.createServer()
await new Promise((done) => server.listen(0, '127.0.0.1', done))
const issuer = `http://127.0.0.1:${server.address().port}`

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'rapidlaunch',
      client_secret: secret,
      redirect_uris: [callback],
      response_types: ['code'],
      grant_types: ['authorization_code'],
    },
  ],
  jwks: { keys: [first] },
  cookies: { keys: ['of tests'] },
  pkce: { required: () => true },
  conformIdTokenClaims: claimsIn !== 'id-token',
  claims: { openid: ['sub'], profile: ['preferred_username', 'groups'] },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id, groups: wish.groups }),
  }),
  async loadExistingGrant(ctx) {
    const { client, session } = ctx.oidc
    const grant = new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId })
    grant.addOIDCScope('openid profile email')
    await grant.save()
    return grant
  },
})

async function signed(claims, jwk) {
  const header = { alg: 'RS256', kid: jwk.kid }
  return new SignJWT(claims).setProtectedHeader(header).sign(await importJWK(jwk, 'RS256'))
}

async function tampered(token) {
  const claims = decodeJwt(token)
  switch (wish.tamper) {
    case 'nonce':
      return signed({ ...claims, nonce: 'another' }, signing)
    case 'expired':
      return signed({ ...claims, iat: claims.iat - 7200, exp: claims.iat - 3600 }, signing)
    case 'audience':
      return signed({ ...claims, aud: 'another' }, signing)
    case 'key':
      return signed(claims, { ...(await makeKey('first')), kid: signing.kid })
    case 'none':
      return new UnsecuredJWT(claims).encode()
    default:
      return signing === first ? token : signed(claims, signing)
  }
}

provider.use(async (ctx, next) => {
  await next()
  if (ctx.path === '/token' && ctx.body?.id_token) ctx.body.id_token = await tampered(ctx.body.id_token)
  if (ctx.path === '/jwks') ctx.body = { keys: [publicPart(signing)] }
})

const serve = provider.callback()
server.on('request', async (request, response) => {
  try {
    if (request.url === '/test/wish') {
      let text = ''
      for await (const part of request) text += part
      for (const name of Object.keys(wish)) delete wish[name]
      Object.assign(wish, { account: 'maria', groups: [] }, JSON.parse(text))
      if (wish.rotate) signing = await makeKey(`rotated-${Date.now()}`)
      response.end('{}')
    } else if (request.url.startsWith('/interaction/')) {
      const denied = { error: 'access_denied', error_description: 'not today' }
      const result = wish.deny ? denied : { login: { accountId: wish.account } }
      await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false })
    } else {
      await serve(request, response)
    }
  } catch (error) {
    console.error(error)
    response.statusCode = 500
    response.end(String(error))
  }
})

process.stdin.on('end', () => process.exit(0)).resume()
console.log(issuer)
