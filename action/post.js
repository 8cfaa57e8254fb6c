'use strict'
// The action's second half, after all steps of the job, also when it failed or was cancelled:
// the program does what a run could not do any more that was ended by others, and takes away what
// it has left. It never fails the job.

const fs = require('node:fs')
const { spawnSync } = require('node:child_process')
const { sumOf } = require('./program.js')

// A cancelled job has five minutes, then GitHub ends it; the program knows that, and needs less.
const PATIENCE = 180_000

async function post() {
  const { STATE_program: program, STATE_folder: folder, STATE_sum: sum, STATE_over: over } = process.env
  if (!program || !folder || !fs.existsSync(folder)) return
  if ((await sumOf(program)) !== sum) {
    console.log(`::warning::${program} is not what the step has started, and is not started again: ${folder} stays`)
    return
  }
  const ended = spawnSync(program, ['action-post', ...(over ? [] : ['--was-ended'])], {
    stdio: 'inherit',
    timeout: PATIENCE,
    env: { ...process.env, TMPDIR: folder }
  })
  if (ended.error) console.log(`::warning::what the run has left in ${folder} stays there: ${ended.error.message}`)
}

post().catch((error) => console.log(`::warning::${error.message}`))
