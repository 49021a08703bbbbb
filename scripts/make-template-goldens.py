#!/usr/bin/env python3
"""Writes test/fixtures/chat-templates.json: what transformers makes of well-known chat templates.

    python3 scripts/make-template-goldens.py      (transformers 5.17; node with the development dependencies)

The templates are the 97 of @huggingface/ollama-utils and the named ones of lib/data/templates/named.ts; each renders every
conversation below. A result is the first 16 hex digits of the SHA-256 of its UTF-8 text, or null where transformers refuses it.
"""
import datetime
import hashlib
import json
import os
import subprocess
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
from transformers.utils import chat_template_utils

ROOT = Path(__file__).resolve().parent.parent
NOW = datetime.datetime(2025, 3, 4, 12, 0, 0, tzinfo=datetime.timezone.utc)
EXPORT = """
Promise.all([import('./node_modules/@huggingface/ollama-utils/src/chat-template-automap.ts'), import('./lib/data/templates/named.ts')]).then(([all, named]) => {
  console.log(JSON.stringify({ ollama: (all.default ?? all).OLLAMA_CHAT_TEMPLATE_MAPPING.map((entry) => entry.gguf), named: named.namedTemplates }))
})
"""


class FrozenDatetime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW.replace(tzinfo=None) if tz is None else NOW.astimezone(tz)


def say(role, content, **more):
    return {"role": role, "content": content, **more}


WEATHER = [{"type": "function", "function": {"name": "get_weather", "description": "Weather of a city", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "description": "Which"}, "unit": {"type": "string", "enum": ["c", "f"]}}, "required": ["city"]}}}]
CALL = [{"id": "abcdefghi", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Z\u00fcrich"}}}]
CHATS = {
    "one": dict(messages=[say("user", "What is the capital of France?"), say("assistant", "Paris.")]),
    "system": dict(messages=[say("system", "Answer briefly."), say("user", " Is it cold?\n"), say("assistant", " It's cold. "), say("user", "And now?")],
                   add_generation_prompt=True),
    "three": dict(messages=[say("user", "one"), say("assistant", "<think>\nhm\n</think>\n\ntwo"), say("user", "three"), say("assistant", "four")]),
    "thoughts": dict(messages=[say("user", "2+2?"), say("assistant", "4", reasoning_content="two and two"), say("user", "3+3?"),
                               say("assistant", "6", reasoning_content="three")]),
    "tools": dict(tools=WEATHER, messages=[say("user", "Weather in Z\u00fcrich?"), say("assistant", "", tool_calls=CALL),
                                           say("tool", "{\"celsius\": 21}", tool_call_id="abcdefghi", name="get_weather"), say("assistant", "It is 21 \u00b0C.")]),
    "parts": dict(messages=[say("user", [{"type": "text", "text": "Look: "}, {"type": "text", "text": "what?"}]),
                            say("assistant", [{"type": "text", "text": "A boat."}])]),
}


def render(template, chat):
    try:
        [text], _ = chat_template_utils.render_jinja_template(
            conversations=[chat["messages"]], tools=chat.get("tools"), chat_template=template, add_generation_prompt=chat.get("add_generation_prompt", False),
            bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>")
    except Exception:  # whatever it says, it refuses
        return None
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def main():
    chat_template_utils.datetime = FrozenDatetime
    exported = subprocess.run(["node", "--import", "tsx", "-e", EXPORT], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    templates = json.loads(exported)
    goldens = {
        "now": int(NOW.timestamp() * 1000),
        "chats": CHATS,
        "ollama": [[render(template, chat) for chat in CHATS.values()] for template in templates["ollama"]],
        "named": {name: [render(template, chat) for chat in CHATS.values()] for name, template in templates["named"].items()},
    }
    path = ROOT / "test" / "fixtures" / "chat-templates.json"
    path.write_text(json.dumps(goldens, ensure_ascii=True, separators=(",", ":")) + "\n")
    flat = [one for row in [*goldens["ollama"], *goldens["named"].values()] for one in row]
    print(f"{len(flat)} results, {sum(one is None for one in flat)} refused, {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
