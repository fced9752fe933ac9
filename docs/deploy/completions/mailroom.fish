# fish completion of mailroom. Made by tests/generated.rs from the tables of commands and settings.

complete -c mailroom -f
complete -c mailroom -n 'not __fish_seen_subcommand_from migrate run collect send mail list publish check template status queue health verify help' -a migrate -d 'apply, take back or show the database schema'
complete -c mailroom -n 'not __fish_seen_subcommand_from migrate run collect send mail list publish check template status queue health verify help' -a run -d 'database -> the mail provider, in one process'
complete -c mailroom -n 'not __fish_seen_subcommand_from migrate run collect send mail list publish check template status queue health verify help' -a collect -d 'database -> signed CSV batches on stdout'
complete -c mailroom -n 'not __fish_seen_subcommand_from migrate run collect send mail list publish check template status queue health verify help' -a send -d 'CSV batches on stdin -> the mail provider'
complete -c mailroom -n 'not __fish_seen_subcommand_from migrate run collect send mail list publish check template status queue health verify help' -a mail -d 'ask for one mail, as send_mail does, and print its id'
complete -c mailroom -n 'not __fish_seen_subcommand_from migrate run collect send mail list publish check template status queue health verify help' -a list -d 'take subscribers from a file, write them out, count them'
complete -c mailroom -n 'not __fish_seen_subcommand_from migrate run collect send mail list publish check template status queue health verify help' -a publish -d 'send an issue to all who are confirmed on a list, once; follow it, stop it'
complete -c mailroom -n 'not __fish_seen_subcommand_from migrate run collect send mail list publish check template status queue health verify help' -a check -d 'preflight of run: settings, database, grants, NOTIFY, clocks, provider, templates'
complete -c mailroom -n 'not __fish_seen_subcommand_from migrate run collect send mail list publish check template status queue health verify help' -a template -d 'the mail templates at the provider (SES)'
complete -c mailroom -n 'not __fish_seen_subcommand_from migrate run collect send mail list publish check template status queue health verify help' -a status -d 'whether mail moves: depth, ages, throughput, failures, who is flooded, who listens'
complete -c mailroom -n 'not __fish_seen_subcommand_from migrate run collect send mail list publish check template status queue health verify help' -a queue -d 'look at deliveries, retry or drop them; pause and resume'
complete -c mailroom -n 'not __fish_seen_subcommand_from migrate run collect send mail list publish check template status queue health verify help' -a health -d '0 or 1 for a health check: does mail move?'
complete -c mailroom -n 'not __fish_seen_subcommand_from migrate run collect send mail list publish check template status queue health verify help' -a verify -d 'is this token ours, and for what?'
complete -c mailroom -n 'not __fish_seen_subcommand_from migrate run collect send mail list publish check template status queue health verify help' -a help -d 'this text, or that of a command with its settings'
complete -c mailroom -n 'not __fish_seen_subcommand_from migrate run collect send mail list publish check template status queue health verify help' -l version -d 'the version'
complete -c mailroom -n 'not __fish_seen_subcommand_from migrate run collect send mail list publish check template status queue health verify help' -l env-file -r -F -d 'a file of variables'
complete -c mailroom -l help -d 'show help'
complete -c mailroom -n '__fish_seen_subcommand_from migrate; and not __fish_seen_subcommand_from up down status force grants' -a 'up down status force grants'
complete -c mailroom -n '__fish_seen_subcommand_from migrate' -l log-format -x -a 'text json' -d 'text or json'
complete -c mailroom -n '__fish_seen_subcommand_from migrate' -l log-level -x -a 'error warn info debug' -d 'error, warn, info or debug; debug shows addresses in full'
complete -c mailroom -n '__fish_seen_subcommand_from migrate' -l yes
complete -c mailroom -n '__fish_seen_subcommand_from migrate' -l operator
complete -c mailroom -n '__fish_seen_subcommand_from migrate' -l application
complete -c mailroom -n '__fish_seen_subcommand_from run' -l channel-name -x -d 'channel to LISTEN on; queue wakes its listeners'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l queue-name -x -d 'queue whose deliveries are taken: a value of the type job_type'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l healthcheck-interval -x -d 'ms between probes of the connection; then also leases are rescued, old rows pruned, missed work looked for'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l batch-timeout -x -d 'ms from the first waiting notification to the flush of a partial batch'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l batch-limit -x -d 'messages in a batch, 1 to 50'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l lease -x -d 'ms a claimed delivery stays ours before it may be claimed again; less than 110000 gives a warning: with a slow provider, one batch can take that long'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l max-attempts -x -d 'tries before a delivery is failed'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l retention -x -a 'forever' -d 'how long settled deliveries are kept: 90s, 15m, 12h, 30d; 0 deletes at once (by collect with MAILROOM_ACK=sent: at its next healthcheck), forever keeps all'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l transport -x -a 'ses smtp postmark' -d 'provider: ses, smtp or postmark; the command template is for SES alone'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l debug -d 'true: print the requests that would be made to stdout, send nothing, and settle what was shown as sent'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l ses-config-set -x -d 'SES configuration set, which must exist there; empty: none'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l ses-source -x -d 'From address, with every provider: a@example.com or Name <a@example.com>'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l ses-output-path -x -a '(__fish_complete_directories)' -d 'directory for provider responses that were not a plain success, and for undelivered.csv'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l templates -x -d 'templates of kinds, by their numbers: a name at SES, an alias at Postmark, or a name of files; kinds that are not listed have the one that the table kinds says'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l smtp-token-command -x -d 'command that prints such a token; it is run without a shell at each connection'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l smtp-connections -x -d 'the most connections to the SMTP server at a time, 1 to 50'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l smtp-connection-mails -x -d 'the most mails on one connection to the SMTP server, 1 to 100000; then another one is opened'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l template-dir -x -a '(__fish_complete_directories)' -d 'directory of NAME.subject, NAME.txt and NAME.html for each template, and of the images that the HTML names: smtp makes its mails from them, postmark takes the images, and mailroom template pushes them'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l postmark-url -x -d 'where Postmark\'s API is'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l send-rate -x -d 'recipients a second, sustained; burst of one batch; the provider\'s own quota counts where it is lower'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l daily-limit -x -d 'recipients in any 24 hours. run: all processes on this database together; send: this process alone, with MAILROOM_ACK=sent also what the database has recorded. The provider\'s own quota counts where it is lower'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l bulk-share -x -d 'the part of the day\'s limit, in per cent, that issues of lists may use: 1 to 100; the rest is kept for other mail'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l statsd -x -d 'DogStatsD for metrics: host:port or unix:///path; DD_ENV, DD_SERVICE, DD_VERSION and DD_ENTITY_ID become tags'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l metrics-file -x -d 'file for metrics in the text format of Prometheus, one for each process: /var/lib/node_exporter/mailroom.prom'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l log-format -x -a 'text json' -d 'text or json'
complete -c mailroom -n '__fish_seen_subcommand_from run' -l log-level -x -a 'error warn info debug' -d 'error, warn, info or debug; debug shows addresses in full'
complete -c mailroom -n '__fish_seen_subcommand_from collect' -l channel-name -x -d 'channel to LISTEN on; queue wakes its listeners'
complete -c mailroom -n '__fish_seen_subcommand_from collect' -l queue-name -x -d 'queue whose deliveries are taken: a value of the type job_type'
complete -c mailroom -n '__fish_seen_subcommand_from collect' -l healthcheck-interval -x -d 'ms between probes of the connection; then also leases are rescued, old rows pruned, missed work looked for'
complete -c mailroom -n '__fish_seen_subcommand_from collect' -l batch-timeout -x -d 'ms from the first waiting notification to the flush of a partial batch'
complete -c mailroom -n '__fish_seen_subcommand_from collect' -l batch-limit -x -d 'messages in a batch, 1 to 50'
complete -c mailroom -n '__fish_seen_subcommand_from collect' -l ack -x -a 'written sent' -d 'written: a batch is settled when it was written to stdout; sent: when send settled it in the database'
complete -c mailroom -n '__fish_seen_subcommand_from collect' -l lease -x -d 'ms a claimed delivery stays ours before it may be claimed again; less than 110000 gives a warning: with a slow provider, one batch can take that long'
complete -c mailroom -n '__fish_seen_subcommand_from collect' -l retention -x -a 'forever' -d 'how long settled deliveries are kept: 90s, 15m, 12h, 30d; 0 deletes at once (by collect with MAILROOM_ACK=sent: at its next healthcheck), forever keeps all'
complete -c mailroom -n '__fish_seen_subcommand_from collect' -l format -x -a 'csv cloudevents' -d 'what goes through the pipe: csv, or cloudevents: one CloudEvents 1.0 JSON object a line'
complete -c mailroom -n '__fish_seen_subcommand_from collect' -l statsd -x -d 'DogStatsD for metrics: host:port or unix:///path; DD_ENV, DD_SERVICE, DD_VERSION and DD_ENTITY_ID become tags'
complete -c mailroom -n '__fish_seen_subcommand_from collect' -l metrics-file -x -d 'file for metrics in the text format of Prometheus, one for each process: /var/lib/node_exporter/mailroom.prom'
complete -c mailroom -n '__fish_seen_subcommand_from collect' -l log-format -x -a 'text json' -d 'text or json'
complete -c mailroom -n '__fish_seen_subcommand_from collect' -l log-level -x -a 'error warn info debug' -d 'error, warn, info or debug; debug shows addresses in full'
complete -c mailroom -n '__fish_seen_subcommand_from send' -l queue-name -x -d 'queue whose deliveries are taken: a value of the type job_type'
complete -c mailroom -n '__fish_seen_subcommand_from send' -l ack -x -a 'written sent' -d 'written: a batch is settled when it was written to stdout; sent: when send settled it in the database'
complete -c mailroom -n '__fish_seen_subcommand_from send' -l lease -x -d 'ms a claimed delivery stays ours before it may be claimed again; less than 110000 gives a warning: with a slow provider, one batch can take that long'
complete -c mailroom -n '__fish_seen_subcommand_from send' -l max-attempts -x -d 'tries before a delivery is failed'
complete -c mailroom -n '__fish_seen_subcommand_from send' -l format -x -a 'csv cloudevents' -d 'what goes through the pipe: csv, or cloudevents: one CloudEvents 1.0 JSON object a line'
complete -c mailroom -n '__fish_seen_subcommand_from send' -l transport -x -a 'ses smtp postmark' -d 'provider: ses, smtp or postmark; the command template is for SES alone'
complete -c mailroom -n '__fish_seen_subcommand_from send' -l debug -d 'true: print the requests that would be made to stdout, send nothing, and settle what was shown as sent'
complete -c mailroom -n '__fish_seen_subcommand_from send' -l ses-config-set -x -d 'SES configuration set, which must exist there; empty: none'
complete -c mailroom -n '__fish_seen_subcommand_from send' -l ses-source -x -d 'From address, with every provider: a@example.com or Name <a@example.com>'
complete -c mailroom -n '__fish_seen_subcommand_from send' -l ses-output-path -x -a '(__fish_complete_directories)' -d 'directory for provider responses that were not a plain success, and for undelivered.csv'
complete -c mailroom -n '__fish_seen_subcommand_from send' -l templates -x -d 'templates of kinds, by their numbers: a name at SES, an alias at Postmark, or a name of files; kinds that are not listed have the one that the table kinds says'
complete -c mailroom -n '__fish_seen_subcommand_from send' -l smtp-token-command -x -d 'command that prints such a token; it is run without a shell at each connection'
complete -c mailroom -n '__fish_seen_subcommand_from send' -l smtp-connections -x -d 'the most connections to the SMTP server at a time, 1 to 50'
complete -c mailroom -n '__fish_seen_subcommand_from send' -l smtp-connection-mails -x -d 'the most mails on one connection to the SMTP server, 1 to 100000; then another one is opened'
complete -c mailroom -n '__fish_seen_subcommand_from send' -l template-dir -x -a '(__fish_complete_directories)' -d 'directory of NAME.subject, NAME.txt and NAME.html for each template, and of the images that the HTML names: smtp makes its mails from them, postmark takes the images, and mailroom template pushes them'
complete -c mailroom -n '__fish_seen_subcommand_from send' -l postmark-url -x -d 'where Postmark\'s API is'
complete -c mailroom -n '__fish_seen_subcommand_from send' -l send-rate -x -d 'recipients a second, sustained; burst of one batch; the provider\'s own quota counts where it is lower'
complete -c mailroom -n '__fish_seen_subcommand_from send' -l daily-limit -x -d 'recipients in any 24 hours. run: all processes on this database together; send: this process alone, with MAILROOM_ACK=sent also what the database has recorded. The provider\'s own quota counts where it is lower'
complete -c mailroom -n '__fish_seen_subcommand_from send' -l statsd -x -d 'DogStatsD for metrics: host:port or unix:///path; DD_ENV, DD_SERVICE, DD_VERSION and DD_ENTITY_ID become tags'
complete -c mailroom -n '__fish_seen_subcommand_from send' -l metrics-file -x -d 'file for metrics in the text format of Prometheus, one for each process: /var/lib/node_exporter/mailroom.prom'
complete -c mailroom -n '__fish_seen_subcommand_from send' -l log-format -x -a 'text json' -d 'text or json'
complete -c mailroom -n '__fish_seen_subcommand_from send' -l log-level -x -a 'error warn info debug' -d 'error, warn, info or debug; debug shows addresses in full'
complete -c mailroom -n '__fish_seen_subcommand_from mail' -l log-format -x -a 'text json' -d 'text or json'
complete -c mailroom -n '__fish_seen_subcommand_from mail' -l log-level -x -a 'error warn info debug' -d 'error, warn, info or debug; debug shows addresses in full'
complete -c mailroom -n '__fish_seen_subcommand_from mail' -l data -x
complete -c mailroom -n '__fish_seen_subcommand_from mail' -l locale -x
complete -c mailroom -n '__fish_seen_subcommand_from mail' -l key -x
complete -c mailroom -n '__fish_seen_subcommand_from mail' -l at -x
complete -c mailroom -n '__fish_seen_subcommand_from mail' -l wait
complete -c mailroom -n '__fish_seen_subcommand_from list; and not __fish_seen_subcommand_from import export show' -a 'import export show'
complete -c mailroom -n '__fish_seen_subcommand_from list' -l log-format -x -a 'text json' -d 'text or json'
complete -c mailroom -n '__fish_seen_subcommand_from list' -l log-level -x -a 'error warn info debug' -d 'error, warn, info or debug; debug shows addresses in full'
complete -c mailroom -n '__fish_seen_subcommand_from list' -l confirmed
complete -c mailroom -n '__fish_seen_subcommand_from publish; and not __fish_seen_subcommand_from status pause resume cancel' -a 'status pause resume cancel'
complete -c mailroom -n '__fish_seen_subcommand_from publish' -l send-rate -x -d 'recipients a second, sustained; burst of one batch; the provider\'s own quota counts where it is lower'
complete -c mailroom -n '__fish_seen_subcommand_from publish' -l daily-limit -x -d 'recipients in any 24 hours. run: all processes on this database together; send: this process alone, with MAILROOM_ACK=sent also what the database has recorded. The provider\'s own quota counts where it is lower'
complete -c mailroom -n '__fish_seen_subcommand_from publish' -l bulk-share -x -d 'the part of the day\'s limit, in per cent, that issues of lists may use: 1 to 100; the rest is kept for other mail'
complete -c mailroom -n '__fish_seen_subcommand_from publish' -l log-format -x -a 'text json' -d 'text or json'
complete -c mailroom -n '__fish_seen_subcommand_from publish' -l log-level -x -a 'error warn info debug' -d 'error, warn, info or debug; debug shows addresses in full'
complete -c mailroom -n '__fish_seen_subcommand_from publish' -l template -x
complete -c mailroom -n '__fish_seen_subcommand_from publish' -l key -x
complete -c mailroom -n '__fish_seen_subcommand_from publish' -l data -x
complete -c mailroom -n '__fish_seen_subcommand_from publish' -l at -x
complete -c mailroom -n '__fish_seen_subcommand_from publish' -l where -x
complete -c mailroom -n '__fish_seen_subcommand_from publish' -l yes
complete -c mailroom -n '__fish_seen_subcommand_from publish' -l dry-run
complete -c mailroom -n '__fish_seen_subcommand_from publish' -l test -x
complete -c mailroom -n '__fish_seen_subcommand_from check' -l channel-name -x -d 'channel to LISTEN on; queue wakes its listeners'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l queue-name -x -d 'queue whose deliveries are taken: a value of the type job_type'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l healthcheck-interval -x -d 'ms between probes of the connection; then also leases are rescued, old rows pruned, missed work looked for'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l batch-timeout -x -d 'ms from the first waiting notification to the flush of a partial batch'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l batch-limit -x -d 'messages in a batch, 1 to 50'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l ack -x -a 'written sent' -d 'written: a batch is settled when it was written to stdout; sent: when send settled it in the database'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l lease -x -d 'ms a claimed delivery stays ours before it may be claimed again; less than 110000 gives a warning: with a slow provider, one batch can take that long'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l max-attempts -x -d 'tries before a delivery is failed'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l retention -x -a 'forever' -d 'how long settled deliveries are kept: 90s, 15m, 12h, 30d; 0 deletes at once (by collect with MAILROOM_ACK=sent: at its next healthcheck), forever keeps all'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l format -x -a 'csv cloudevents' -d 'what goes through the pipe: csv, or cloudevents: one CloudEvents 1.0 JSON object a line'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l transport -x -a 'ses smtp postmark' -d 'provider: ses, smtp or postmark; the command template is for SES alone'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l debug -d 'true: print the requests that would be made to stdout, send nothing, and settle what was shown as sent'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l ses-config-set -x -d 'SES configuration set, which must exist there; empty: none'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l ses-source -x -d 'From address, with every provider: a@example.com or Name <a@example.com>'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l ses-output-path -x -a '(__fish_complete_directories)' -d 'directory for provider responses that were not a plain success, and for undelivered.csv'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l templates -x -d 'templates of kinds, by their numbers: a name at SES, an alias at Postmark, or a name of files; kinds that are not listed have the one that the table kinds says'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l smtp-token-command -x -d 'command that prints such a token; it is run without a shell at each connection'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l smtp-connections -x -d 'the most connections to the SMTP server at a time, 1 to 50'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l smtp-connection-mails -x -d 'the most mails on one connection to the SMTP server, 1 to 100000; then another one is opened'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l template-dir -x -a '(__fish_complete_directories)' -d 'directory of NAME.subject, NAME.txt and NAME.html for each template, and of the images that the HTML names: smtp makes its mails from them, postmark takes the images, and mailroom template pushes them'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l postmark-url -x -d 'where Postmark\'s API is'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l send-rate -x -d 'recipients a second, sustained; burst of one batch; the provider\'s own quota counts where it is lower'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l daily-limit -x -d 'recipients in any 24 hours. run: all processes on this database together; send: this process alone, with MAILROOM_ACK=sent also what the database has recorded. The provider\'s own quota counts where it is lower'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l bulk-share -x -d 'the part of the day\'s limit, in per cent, that issues of lists may use: 1 to 100; the rest is kept for other mail'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l statsd -x -d 'DogStatsD for metrics: host:port or unix:///path; DD_ENV, DD_SERVICE, DD_VERSION and DD_ENTITY_ID become tags'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l metrics-file -x -d 'file for metrics in the text format of Prometheus, one for each process: /var/lib/node_exporter/mailroom.prom'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l log-format -x -a 'text json' -d 'text or json'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l log-level -x -a 'error warn info debug' -d 'error, warn, info or debug; debug shows addresses in full'
complete -c mailroom -n '__fish_seen_subcommand_from check' -l json
complete -c mailroom -n '__fish_seen_subcommand_from template; and not __fish_seen_subcommand_from list show push check' -a 'list show push check'
complete -c mailroom -n '__fish_seen_subcommand_from template' -l transport -x -a 'ses smtp postmark' -d 'provider: ses, smtp or postmark; the command template is for SES alone'
complete -c mailroom -n '__fish_seen_subcommand_from template' -l templates -x -d 'templates of kinds, by their numbers: a name at SES, an alias at Postmark, or a name of files; kinds that are not listed have the one that the table kinds says'
complete -c mailroom -n '__fish_seen_subcommand_from template' -l template-dir -x -a '(__fish_complete_directories)' -d 'directory of NAME.subject, NAME.txt and NAME.html for each template, and of the images that the HTML names: smtp makes its mails from them, postmark takes the images, and mailroom template pushes them'
complete -c mailroom -n '__fish_seen_subcommand_from template' -l log-format -x -a 'text json' -d 'text or json'
complete -c mailroom -n '__fish_seen_subcommand_from template' -l log-level -x -a 'error warn info debug' -d 'error, warn, info or debug; debug shows addresses in full'
complete -c mailroom -n '__fish_seen_subcommand_from template' -l data
complete -c mailroom -n '__fish_seen_subcommand_from template' -l from -x -a '(__fish_complete_directories)'
complete -c mailroom -n '__fish_seen_subcommand_from status' -l queue-name -x -d 'queue whose deliveries are taken: a value of the type job_type'
complete -c mailroom -n '__fish_seen_subcommand_from status' -l batch-timeout -x -d 'ms from the first waiting notification to the flush of a partial batch'
complete -c mailroom -n '__fish_seen_subcommand_from status' -l max-age -x -d 'how long mail may be due before something is wrong: 90s, 10m, 1h; more than MAILROOM_BATCH_TIMEOUT, less than tokens live'
complete -c mailroom -n '__fish_seen_subcommand_from status' -l log-format -x -a 'text json' -d 'text or json'
complete -c mailroom -n '__fish_seen_subcommand_from status' -l log-level -x -a 'error warn info debug' -d 'error, warn, info or debug; debug shows addresses in full'
complete -c mailroom -n '__fish_seen_subcommand_from status' -l json
complete -c mailroom -n '__fish_seen_subcommand_from status' -l html -x
complete -c mailroom -n '__fish_seen_subcommand_from status' -l watch
complete -c mailroom -n '__fish_seen_subcommand_from status' -l exit-code
complete -c mailroom -n '__fish_seen_subcommand_from queue; and not __fish_seen_subcommand_from list find show retry drop pause resume' -a 'list find show retry drop pause resume'
complete -c mailroom -n '__fish_seen_subcommand_from queue' -l channel-name -x -d 'channel to LISTEN on; queue wakes its listeners'
complete -c mailroom -n '__fish_seen_subcommand_from queue' -l queue-name -x -d 'queue whose deliveries are taken: a value of the type job_type'
complete -c mailroom -n '__fish_seen_subcommand_from queue' -l log-format -x -a 'text json' -d 'text or json'
complete -c mailroom -n '__fish_seen_subcommand_from queue' -l log-level -x -a 'error warn info debug' -d 'error, warn, info or debug; debug shows addresses in full'
complete -c mailroom -n '__fish_seen_subcommand_from queue' -l state -x -a 'leased pending failed expired superseded sent all'
complete -c mailroom -n '__fish_seen_subcommand_from queue' -l to -x
complete -c mailroom -n '__fish_seen_subcommand_from queue' -l limit -x
complete -c mailroom -n '__fish_seen_subcommand_from queue' -l json
complete -c mailroom -n '__fish_seen_subcommand_from queue' -l reveal
complete -c mailroom -n '__fish_seen_subcommand_from queue' -l all
complete -c mailroom -n '__fish_seen_subcommand_from queue' -l reason -x
complete -c mailroom -n '__fish_seen_subcommand_from queue' -l cause -x
complete -c mailroom -n '__fish_seen_subcommand_from queue' -l yes
complete -c mailroom -n '__fish_seen_subcommand_from health' -l queue-name -x -d 'queue whose deliveries are taken: a value of the type job_type'
complete -c mailroom -n '__fish_seen_subcommand_from health' -l batch-timeout -x -d 'ms from the first waiting notification to the flush of a partial batch'
complete -c mailroom -n '__fish_seen_subcommand_from health' -l max-age -x -d 'how long mail may be due before something is wrong: 90s, 10m, 1h; more than MAILROOM_BATCH_TIMEOUT, less than tokens live'
complete -c mailroom -n '__fish_seen_subcommand_from health' -l log-format -x -a 'text json' -d 'text or json'
complete -c mailroom -n '__fish_seen_subcommand_from health' -l log-level -x -a 'error warn info debug' -d 'error, warn, info or debug; debug shows addresses in full'
complete -c mailroom -n '__fish_seen_subcommand_from verify' -l log-format -x -a 'text json' -d 'text or json'
complete -c mailroom -n '__fish_seen_subcommand_from verify' -l log-level -x -a 'error warn info debug' -d 'error, warn, info or debug; debug shows addresses in full'
complete -c mailroom -n '__fish_seen_subcommand_from verify' -l code -x
complete -c mailroom -n '__fish_seen_subcommand_from verify' -l path -x
complete -c mailroom -n '__fish_seen_subcommand_from help' -a 'migrate run collect send mail list publish check template status queue health verify help'
