// A server of the package smtp-server on a port of this machine; each mail becomes a file in mail/new.
"use strict";
const fs = require("node:fs");
const [module_, port] = process.argv.slice(2);
const { SMTPServer } = require(module_);

let mails = 0;
const refused = (code, text) => Object.assign(new Error(text), { responseCode: code });

new SMTPServer({
  authOptional: true,
  disabledCommands: ["STARTTLS", "AUTH"],
  onRcptTo({ address }, session, done) {
    if (address === "gone@example.com") return done(refused(550, "no such user"));
    if (address === "later@example.com") return done(refused(450, "not now"));
    done();
  },
  onData(stream, session, done) {
    const name = String((mails += 1));
    const to = session.envelope.rcptTo.map(({ address }) => address).join(",");
    const file = fs.createWriteStream(`mail/tmp/${name}`);
    file.write(`Delivered-To: ${to}\r\n`);
    stream.pipe(file).on("finish", () => {
      fs.renameSync(`mail/tmp/${name}`, `mail/new/${name}`);
      done(null, "taken");
    });
  },
}).listen(Number(port), "127.0.0.1");
