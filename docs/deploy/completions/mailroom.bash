# bash completion of mailroom. Made by tests/generated.rs from the tables of commands and settings.

_mailroom() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local words='' flags='' word sub=''
    COMPREPLY=()
    # --flag=value comes in three words.
    if [[ $cur == = ]]; then
        cur=''
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W 'migrate run collect send mail list publish check template status queue health verify help --help --version --env-file' -- "$cur")
        return
    fi
    case $prev in
        --at | --batch-limit | --batch-timeout | --bulk-share | --cause | --channel-name | --code | --daily-limit | --data | --end-timeout | --healthcheck-interval | --html | --key | --lease | --limit | --locale | --max-age | --max-attempts | --metrics-file | --path | --poll | --postmark-url | --queue-name | --reason | --send-rate | --ses-config-set | --ses-endpoint-id | --ses-source | --ses-tenant | --smtp-connection-mails | --smtp-connections | --smtp-token-command | --statsd | --template | --templates | --test | --to | --where)
            :
            return ;;
        --format)
            mapfile -t COMPREPLY < <(compgen -W 'csv cloudevents' -- "$cur")
            return ;;
        --log-level)
            mapfile -t COMPREPLY < <(compgen -W 'error warn info debug' -- "$cur")
            return ;;
        --retention)
            mapfile -t COMPREPLY < <(compgen -W 'forever' -- "$cur")
            return ;;
        --state)
            mapfile -t COMPREPLY < <(compgen -W 'leased pending failed expired superseded sent all' -- "$cur")
            return ;;
        --transport)
            mapfile -t COMPREPLY < <(compgen -W 'ses smtp postmark' -- "$cur")
            return ;;
        --log-format)
            mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$cur")
            return ;;
        --ack)
            mapfile -t COMPREPLY < <(compgen -W 'written sent' -- "$cur")
            return ;;
        --from | --ses-output-path | --template-dir)
            mapfile -t COMPREPLY < <(compgen -d -- "$cur")
            compopt -o filenames 2>/dev/null
            return ;;
    esac
    case ${COMP_WORDS[1]} in
        migrate) words='up down status force grants' flags='--log-format --log-level --yes --operator --application --lists --help' ;;
        run) words='' flags='--channel-name --poll --queue-name --healthcheck-interval --batch-timeout --batch-limit --lease --max-attempts --retention --transport --debug --ses-config-set --ses-tenant --ses-endpoint-id --ses-source --ses-output-path --templates --smtp-token-command --smtp-connections --smtp-connection-mails --template-dir --postmark-url --send-rate --daily-limit --bulk-share --statsd --metrics-file --max-age --log-format --log-level --help' ;;
        collect) words='' flags='--channel-name --poll --queue-name --healthcheck-interval --batch-timeout --batch-limit --ack --lease --retention --format --statsd --metrics-file --max-age --log-format --log-level --help' ;;
        send) words='' flags='--queue-name --ack --lease --max-attempts --end-timeout --format --transport --debug --ses-config-set --ses-tenant --ses-endpoint-id --ses-source --ses-output-path --templates --smtp-token-command --smtp-connections --smtp-connection-mails --template-dir --postmark-url --send-rate --daily-limit --statsd --metrics-file --log-format --log-level --help' ;;
        mail) words='' flags='--log-format --log-level --data --locale --key --at --wait --help' ;;
        list) words='import export show' flags='--log-format --log-level --confirmed --help' ;;
        publish) words='status pause resume cancel' flags='--send-rate --daily-limit --bulk-share --log-format --log-level --template --key --data --at --where --yes --dry-run --test --help' ;;
        check) words='' flags='--channel-name --poll --queue-name --healthcheck-interval --batch-timeout --batch-limit --ack --lease --max-attempts --end-timeout --retention --format --transport --debug --ses-config-set --ses-tenant --ses-endpoint-id --ses-source --ses-output-path --templates --smtp-token-command --smtp-connections --smtp-connection-mails --template-dir --postmark-url --send-rate --daily-limit --bulk-share --statsd --metrics-file --max-age --log-format --log-level --json --help' ;;
        template) words='list show push check preview' flags='--queue-name --transport --templates --template-dir --postmark-url --log-format --log-level --data --from --help' ;;
        status) words='' flags='--queue-name --batch-timeout --max-age --log-format --log-level --json --html --watch --exit-code --help' ;;
        queue) words='list find show retry drop pause resume' flags='--channel-name --queue-name --log-format --log-level --state --to --limit --json --reveal --all --reason --cause --yes --help' ;;
        health) words='' flags='--queue-name --batch-timeout --max-age --log-format --log-level --help' ;;
        verify) words='' flags='--log-format --log-level --code --path --help' ;;
        help) words='migrate run collect send mail list publish check template status queue health verify help' flags=' --help' ;;
        *) return ;;
    esac
    for word in "${COMP_WORDS[@]:2:COMP_CWORD-2}"; do
        [[ " $words " == *" $word "* ]] && sub=$word
    done
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")
    elif [[ -z $sub ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
    fi
}

complete -o default -F _mailroom mailroom
