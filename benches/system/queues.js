// A worker of another queue: graphile or pgboss, its modules, and the database. For each job it writes
// how many seconds lie between the statement that made it and now.
const [queue, modules, url] = process.argv.slice(2)
const take = (job) => process.stdout.write(`${Date.now() / 1000 - job.t}\n`)
const load = (name) => require(require.resolve(name, { paths: [modules] }))
const workers = {
  async graphile() {
    const { run, Logger } = load('graphile-worker')
    const logger = new Logger(() => () => {})
    await run({ connectionString: url, concurrency: 10, logger, taskList: { mail: async (job) => take(job) } })
  },
  async pgboss() {
    const boss = new (load('pg-boss'))(url)
    await boss.start()
    // The least it allows.
    const often = { batchSize: 1000, pollingIntervalSeconds: 0.5 }
    await boss.work('mail', often, async (jobs) => jobs.forEach((job) => take(job.data)))
  },
}
workers[queue]()
