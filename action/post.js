'use strict'
// The action's second half, after all steps of the job, also when it failed or was cancelled:
// the program takes away what a run that was killed has left. It never fails the job.

const fs = require('node:fs')
const { spawnSync } = require('node:child_process')
const { sumOf } = require('./program.js')

const PATIENCE = 60_000

async function post() {
  const { STATE_program: program, STATE_folder: folder, STATE_sum: sum } = process.env
  if (!program || !folder || !fs.existsSync(folder)) return
  if ((await sumOf(program)) !== sum) {
    console.log(`::warning::${program} is not what the step has started, and is not started again: ${folder} stays`)
    return
  }
  const ended = spawnSync(program, ['action-post'], {
    stdio: 'inherit',
    timeout: PATIENCE,
    env: { ...process.env, TMPDIR: folder }
  })
  if (ended.error) console.log(`::warning::what the run has left in ${folder} stays there: ${ended.error.message}`)
}

post().catch((error) => console.log(`::warning::${error.message}`))
