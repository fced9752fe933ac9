// Sends so many mails by nodemailer, and says how many seconds that took.
//   nodemailer.js DIRECTORY_OF_MODULES PORT MAILS CONNECTIONS
const [modules, port, mails, connections] = process.argv.slice(2);
const transport = require(`${modules}/nodemailer`).createTransport({
    host: '127.0.0.1', port: Number(port), secure: false, ignoreTLS: true,
    pool: true, maxConnections: Number(connections), maxMessages: Infinity,
});
const begun = process.hrtime.bigint();
const one = (n) => transport.sendMail({
    from: 'noreply@example.com', to: `u${n}@example.com`, subject: 'Activate',
    text: `Hello u${n}`, html: `<p>Hello u${n}</p>`,
});
Promise.all(Array.from({ length: Number(mails) }, (_, n) => one(n))).then(() => {
    console.log(Number(process.hrtime.bigint() - begun) / 1e9);
    transport.close();
});
