// A plugin of Haraka: each mail becomes a file in mail/new.
"use strict";
const fs = require("node:fs");

let mails = 0;

exports.hook_rcpt = (next, connection, [to]) => {
  switch (to.user) {
    case "gone":
      return next(DENY, "no such user");
    case "later":
      return next(DENYSOFT, "not now");
    default:
      return next(OK);
  }
};

exports.hook_queue = (next, { transaction }) => {
  const name = String((mails += 1));
  const file = fs.createWriteStream(`mail/tmp/${name}`);
  file.write(`Delivered-To: ${transaction.rcpt_to.map((to) => to.address).join(",")}\r\n`);
  transaction.message_stream.pipe(file);
  file.on("finish", () => {
    fs.renameSync(`mail/tmp/${name}`, `mail/new/${name}`);
    next(OK, "taken");
  });
};
