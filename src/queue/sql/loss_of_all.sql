-- mailroom:loss_of_all
-- What is there without which version 0 is nothing, for people.
SELECT format('the tables accounts (rows: %s), tokens (rows: %s) and jobs',
              (SELECT count(*) FROM accounts), (SELECT count(*) FROM tokens)) AS loss
