'use strict'
// Which program belongs to this commit of the action, and that it is that one.
//
// The list beside this file says it: version and SHA-256. Who pins the action to a commit has
// thereby pinned the program. It is hashed before every start, also when it comes from the tool
// cache, where other jobs of the machine can write.

const crypto = require('node:crypto')
const fs = require('node:fs')
const http = require('node:http')
const path = require('node:path')
const { pipeline } = require('node:stream/promises')
const { Readable, Transform } = require('node:stream')

const LIST = path.join(__dirname, 'checksums.txt')
const SYSTEMS = { X64: 'x86_64-linux', ARM64: 'aarch64-linux' }
// Where the action may have come from to a server of one's own.
const ELSEWHERE = 'https://github.com'
const ATTEMPTS = 4
// In milliseconds: before the second attempt, without a byte, and for one attempt in all.
const TIMES = { pause: 1000, silence: 30_000, whole: 600_000 }

/** Something that people can cure: told in one line, without a stack. */
class Trouble extends Error {}

/** The file to start, and its SHA-256. It is there, may be executed, and is what it has to be. */
async function findProgram(env = process.env, list = LIST, times = TIMES, elsewhere = ELSEWHERE) {
  const given = env.INPUT_BINARY
  if (given) return givenProgram(given, env['INPUT_BINARY-SHA256'])
  const system = systemOf(env)
  const { version, sums } = readList(fs.readFileSync(list, 'utf8'))
  const name = `nixpy-ci-${system}`
  const sum = sums.get(name)
  if (!sum) {
    throw new Trouble(
      `this commit of the action has no released program for ${system}: use the action at a release (@v1), ` +
        'or name a program that is on this machine with the input `binary`')
  }
  const cache = env.RUNNER_TOOL_CACHE || env.RUNNER_TEMP
  if (!cache) throw new Trouble('neither RUNNER_TOOL_CACHE nor RUNNER_TEMP is set: is this a runner?')
  const arch = env.RUNNER_ARCH.toLowerCase()
  const folder = path.join(cache, 'nixpy-ci', version, arch)
  const program = path.join(folder, 'nixpy-ci')
  if (fs.existsSync(`${folder}.complete`) && fs.existsSync(program)) {
    refuseOther(program, await sumOf(program), sum, 'remove it, and run this again')
    return { program, sum }
  }
  await fetchInto(folder, program, urls(env, version, name, elsewhere), sum, times)
  fs.writeFileSync(`${folder}.complete`, '')
  return { program, sum }
}

async function givenProgram(name, wanted) {
  const program = path.resolve(name)
  try {
    fs.accessSync(program, fs.constants.X_OK)
  } catch {
    throw new Trouble(`input binary: ${program} is not there, or no program: name the file of a nixpy-ci`)
  }
  const sum = await sumOf(program)
  if (wanted) refuseOther(program, sum, wanted.trim().toLowerCase(), 'check `binary-sha256`')
  return { program, sum }
}

function systemOf(env) {
  const system = env.RUNNER_OS === 'Linux' ? SYSTEMS[env.RUNNER_ARCH] : undefined
  if (system) return system
  throw new Trouble(
    `there is no nixpy-ci for ${env.RUNNER_OS} ${env.RUNNER_ARCH}: use a runner with Linux on X64 or ARM64, ` +
      'as ubuntu-24.04 or ubuntu-24.04-arm')
}

/** The version in the first line, and a hash for each name, as `sha256sum` writes them. */
function readList(text) {
  const [head, ...lines] = text.split('\n')
  const version = /^# nixpy-ci (\d+\.\d+\.\d+\S*)$/.exec(head)?.[1]
  if (!version) throw new Trouble('the first line of checksums.txt is not `# nixpy-ci VERSION`')
  const sums = new Map()
  for (const line of lines) {
    const found = /^([0-9a-f]{64}) [ *](\S+)$/.exec(line)
    if (found) sums.set(found[2], found[1])
  }
  return { version, sums }
}

function urls(env, version, name, elsewhere) {
  const repository = env.GITHUB_ACTION_REPOSITORY
  if (!repository) {
    throw new Trouble('an action that is used by its path has no releases: name a program with the input `binary`')
  }
  const servers = new Set([env.GITHUB_SERVER_URL || elsewhere, elsewhere])
  return [...servers].map((server) => `${server}/${repository}/releases/download/v${version}/${name}`)
}

/** Whole, executable and right, or not there at all. */
async function fetchInto(folder, program, urls, sum, times) {
  fs.mkdirSync(folder, { recursive: true })
  const part = path.join(folder, `.part-${process.pid}-${crypto.randomUUID()}`)
  try {
    await fetchFirst(urls, part, sum, times)
    fs.chmodSync(part, 0o755)
    fs.renameSync(part, program)
  } finally {
    fs.rmSync(part, { force: true })
  }
}

/**
 * The next server is asked where this one is sure that it has no such file, and where it has sent
 * another: one in private mode answers strangers with its login page.
 */
async function fetchFirst(urls, part, sum, times) {
  // HTTPS_PROXY and its like; where this Node cannot be told so late, NODE_USE_ENV_PROXY=1 tells it.
  http.setGlobalProxyFromEnv?.()
  const troubles = []
  for (const url of urls) {
    const answer = await fetchPatiently(url, part, times)
    if (answer.sum === sum) return
    troubles.push(answer.sum ? isOther(url, answer.sum, sum, 'nothing of it was kept') : answer.told)
    if (!answer.isFinal) break
    if (url !== urls.at(-1)) console.log(`${troubles.at(-1)}: the next server is asked`)
    else if (answer.sum) throw new Trouble(troubles.join('; '))
  }
  throw new Trouble(`${troubles.join('; ')}: download it yourself, and name it with the input \`binary\``)
}

/** What came, or why nothing did; and whether that would be the same once more. */
async function fetchPatiently(url, part, times) {
  let told
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    // Twice as long each time.
    if (attempt > 1) await new Promise((resolve) => setTimeout(resolve, times.pause * 2 ** (attempt - 2)))
    try {
      return { sum: await fetchOnce(url, part, times), isFinal: true }
    } catch (error) {
      told = `${url}: ${error.message}${error.cause ? `: ${error.cause.message}` : ''}`
      if (error.isFinal) return { told, isFinal: true }
      console.log(`the download failed, attempt ${attempt} of ${ATTEMPTS}: ${told}`)
    }
  }
  return { told, isFinal: false }
}

/** Given up when it is silent, or has no end; slow is no trouble. */
async function fetchOnce(url, part, times) {
  const stop = new AbortController()
  const seconds = (time) => `${time / 1000} s`
  const silence = setTimeout(() => stop.abort(new Error(`nothing came for ${seconds(times.silence)}`)), times.silence)
  const whole = setTimeout(() => stop.abort(new Error(`it took more than ${seconds(times.whole)}`)), times.whole)
  try {
    return await fetchWatched(url, part, stop.signal, () => silence.refresh())
  } finally {
    clearTimeout(silence)
    clearTimeout(whole)
  }
}

/** Hashed while it is written. */
async function fetchWatched(url, part, signal, onBytes) {
  const answer = await fetch(url, { signal })
  if (!answer.ok) {
    const error = new Error(`the answer is ${answer.status} ${answer.statusText}`)
    // Whatever else was answered may be another thing in a moment.
    error.isFinal = answer.status === 404
    throw error
  }
  const hash = crypto.createHash('sha256')
  const hashing = new Transform({
    transform(chunk, _encoding, done) {
      onBytes()
      hash.update(chunk)
      done(null, chunk)
    }
  })
  await pipeline(Readable.fromWeb(answer.body), hashing, fs.createWriteStream(part), { signal })
  return hash.digest('hex')
}

function refuseOther(what, found, wanted, cure) {
  if (found !== wanted) throw new Trouble(isOther(what, found, wanted, cure))
}

function isOther(what, found, wanted, cure) {
  return `${what} was refused: its SHA-256 is ${found}, and has to be ${wanted}: ${cure}`
}

async function sumOf(file) {
  const hash = crypto.createHash('sha256')
  await pipeline(fs.createReadStream(file, { highWaterMark: 1 << 20 }), hash)
  return hash.digest('hex')
}

module.exports = { Trouble, findProgram, readList, sumOf }
