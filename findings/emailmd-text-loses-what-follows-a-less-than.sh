#!/bin/sh
# The text part of a mail template from emailmd 0.3.5, filled by liquidjs 10.30.1 (npm), 2026-11-30.
# Guess: template tags come through whole in both parts, {% if total < 10 %} too: emailmd knows {{ }} and
# {% %}, leaves what is in them unescaped in the HTML, and keeps its case in the headings of the text.
# Fact: in the HTML part the tag is as it was, with its bare "<". The text part is made of that HTML by removing
# all from a "<" to the next ">": the rest of the tag and all up to the first markup after it, without a word.
# Whoever looks at the mail sees the HTML part, which is right. Of the text part the engine makes an error, or,
# as liquidjs here, one tag of what is left of two, true for all: each reader of the text is promised the gift,
# and none is told of the postage or the order. Written as 10 > total the same is kept. Outside of tags "<" is
# escaped first and comes through. The README and the types of emailmd do not speak of it.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund emailmd@0.3.5 liquidjs@10.30.1 >/dev/null

cat >probe.mjs <<'PROBE'
import { render } from 'emailmd';
import { Liquid } from 'liquidjs';
const liquid = new Liquid();
const show = async (condition) => {
    const { html, text } = await render([
        `{% if ${condition} %}Postage is 5.{% endif %}`,
        'Your **order** comes on Monday, [track it](https://example.com/t).',
        '{% if total > 100 %}Here is a gift.{% endif %}',
    ].join('\n\n'));
    const words = html.match(/<p>[^]*<\/p>/)[0].replaceAll(/<\/?(p|a|strong)\b[^>]*>/g, '');
    console.log(`${condition}, template of the text:`);
    console.log(text.replaceAll('\n\n', '\n').replaceAll(/^/gm, '  | '));
    for (const total of [5, 200]) {
        for (const [name, part] of [['HTML', words], ['text', text]]) {
            console.log(`  ${name} for ${total}:`, JSON.stringify(await liquid.parseAndRender(part, { total })));
        }
    }
};
await show('10 > total');
await show('total < 10');
PROBE
cat >expected <<'SEEN'
10 > total, template of the text:
  | {% if 10 > total %}Postage is 5.{% endif %}
  | Your order comes on Monday, track it (https://example.com/t).
  | {% if total > 100 %}Here is a gift.{% endif %}
  HTML for 5: "Postage is 5.\nYour order comes on Monday, track it.\n"
  text for 5: "Postage is 5.\n\nYour order comes on Monday, track it (https://example.com/t).\n\n"
  HTML for 200: "\nYour order comes on Monday, track it.\nHere is a gift."
  text for 200: "\n\nYour order comes on Monday, track it (https://example.com/t).\n\nHere is a gift."
total < 10, template of the text:
  | {% if total order comes on Monday, track it (https://example.com/t).
  | {% if total > 100 %}Here is a gift.{% endif %}
  HTML for 5: "Postage is 5.\nYour order comes on Monday, track it.\n"
  text for 5: "Here is a gift."
  HTML for 200: "\nYour order comes on Monday, track it.\nHere is a gift."
  text for 200: "Here is a gift."
SEEN
node probe.mjs >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
