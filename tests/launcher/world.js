'use strict'
// What the launcher's tests are made of: a copy of the action with a list of its own, a runner's
// folders, a server of releases, and programs that note how they were started.

const crypto = require('node:crypto')
const fs = require('node:fs')
const http = require('node:http')
const os = require('node:os')
const path = require('node:path')
const { spawn } = require('node:child_process')

const ACTION = path.resolve(__dirname, '../../action')

/** A runner's folders, and a copy of the action; gone after the test. */
class Runner {
  constructor(test) {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'launcher-'))
    test.after(() => fs.rmSync(this.folder, { recursive: true, force: true }))
    for (const name of ['temp', 'tools']) fs.mkdirSync(this.at(name))
    fs.cpSync(ACTION, this.at('action'), { recursive: true })
    this.env = {
      PATH: process.env.PATH,
      RUNNER_OS: 'Linux',
      RUNNER_ARCH: 'X64',
      RUNNER_TEMP: this.at('temp'),
      RUNNER_TOOL_CACHE: this.at('tools'),
      GITHUB_STATE: this.at('state'),
      GITHUB_ACTION_REPOSITORY: 'acme/nixpy-action',
      GITHUB_SERVER_URL: 'http://127.0.0.1:9'
    }
  }

  at(...names) {
    return path.join(this.folder, ...names)
  }

  /** The list beside the launcher says that version 1.2.3 is this. */
  lists(bytes, system = 'x86_64-linux') {
    fs.writeFileSync(this.at('action', 'checksums.txt'), `# nixpy-ci 1.2.3\n${sum(bytes)}  nixpy-ci-${system}\n`)
  }

  /** An earlier job has left this in the tool cache. */
  hasCached(bytes, arch = 'x64') {
    const folder = this.at('tools', 'nixpy-ci', '1.2.3', arch)
    fs.mkdirSync(folder, { recursive: true })
    fs.writeFileSync(path.join(folder, 'nixpy-ci'), bytes, { mode: 0o755 })
    fs.writeFileSync(`${folder}.complete`, '')
    return path.join(folder, 'nixpy-ci')
  }

  /** Starts `main.js` or `post.js`. */
  start(file, env = {}) {
    const child = spawn(process.execPath, [this.at('action', file)], { env: { ...this.env, ...env } })
    let output = ''
    child.stdout.on('data', (text) => { output += text })
    child.stderr.on('data', (text) => { output += text })
    child.ended = new Promise((resolve) => {
      child.on('close', (code, signal) => resolve({ code, signal, output }))
    })
    return child
  }

  /** Runs it to its end. */
  run(file, env) {
    return this.start(file, env).ended
  }

  /** What main has left for post, as the runner hands it on. */
  state() {
    const lines = fs.readFileSync(this.env.GITHUB_STATE, 'utf8').trim().split('\n')
    return Object.fromEntries(lines.map((line) => [`STATE_${line.split('=')[0]}`, line.slice(line.indexOf('=') + 1)]))
  }

  /** Every file below the tool cache. */
  tools() {
    const entries = fs.readdirSync(this.at('tools'), { recursive: true, withFileTypes: true })
    return entries.filter((entry) => entry.isFile()).map((entry) => entry.name).sort()
  }
}

/** A server of releases; each answer of the list is given once, the last one for ever. */
async function server(test, ...answers) {
  const asked = []
  const server = http.createServer((request, response) => {
    asked.push(request.url)
    const answer = answers.length > 1 ? answers.shift() : answers[0]
    answer(response)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  test.after(() => server.closeAllConnections())
  test.after(() => server.close())
  return { url: `http://127.0.0.1:${server.address().port}`, asked }
}

const bytes = (content) => (response) => response.end(content)
const status = (code) => (response) => { response.statusCode = code; response.end('no') }
const cut = (content) => (response) => {
  response.writeHead(200, { 'content-length': content.length + 10 })
  response.write(content, () => response.destroy())
}

const sum = (content) => crypto.createHash('sha256').update(content).digest('hex')

/** A program of a few lines of shell. */
const script = (...lines) => Buffer.from(['#!/bin/sh', ...lines, ''].join('\n'))

module.exports = { ACTION, Runner, bytes, cut, script, server, status, sum }
