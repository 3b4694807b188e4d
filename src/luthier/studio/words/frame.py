"""What every page says: its frame, the keyboard, signing in, refusals."""

from __future__ import annotations

WORDS = {
    # Every page
    "title": "Luthier studio",
    "skip": "Skip to the content",
    "studies": "Studies",
    "nav": "Pages",
    "readonly": "read-only",
    "readonly.why": "This studio was opened to look only. Start it without --read-only, or use the owner's address, to change something.",
    "logout": "Sign out",
    "theme": "Theme",
    "theme.light": "Light",
    "theme.dark": "Dark",
    "theme.light.how": "Show all pages light",
    "theme.dark.how": "Show all pages dark",
    "live.on": "live",
    "live.off": "not live",
    "live.paused": "updates paused at {at}",
    "live.pause": "Pause updates",
    "live.resume": "Resume updates",
    "live.away": "reconnecting… last news {at}",
    "live.gone": "The studio does not answer any more, or it was started anew. Open the address it printed.",
    "live.trouble": "the store does not answer: {error}",
    "panel.failed": "This part cannot be shown: {error}",
    "panel.retry": "Try again",
    "noscript": "Without JavaScript this page is complete, but charts are tables and nothing updates by itself.",
    "table": "As a table",
    "chart.failed": "The chart cannot be drawn: {error}. Its numbers are in the table.",
    "back": "Back to the study",
    "none": "–",
    # Signing in
    "login.title": "Sign in",
    "login.how": "Open the address that `luthier studio` printed; it ends in a token. Or paste the token here.",
    "login.token": "Token",
    "login.go": "Sign in",
    "login.wrong": "That is not the token of this studio. It was printed where the studio was started; a studio that is started again has another one.",
    # Refusals
    "refused.title": "Not possible",
    "refused.host": "This studio does not go by that name. Open it by the address that it printed, or start it with --allow-host NAME.",
    "refused.foreign": "This request does not come from a page of this studio, so it changes nothing.",
    "refused.token": "Open the address that `luthier studio` printed: it ends in a token.",
    "refused.viewer": "You may look at studies here, but not change them.",
    "refused.large": "That is more than {most} bytes, and no form here needs so many.",
    "refused.missing": "There is no page here.",
    "refused.broken": "Something went wrong in the studio. What it was is written where it was started.",
    "refused.method": "This address does something else: see the page it belongs to.",
    "settings.choice": "There is no choice {value!r} here. Choose one of: {choices}.",
    # Times
    "ago.now": "just now",
    "ago": "{time} ago",
    # The keyboard
    "keys": "Keyboard",
    "keys.how": "Keys do nothing while you write in a field.",
    "keys.off": "The shortcuts are switched off.",
    "keys.switch.off": "Switch the shortcuts off",
    "keys.switch.on": "Switch the shortcuts on",
    "keys.close": "Close",
    "keys.key": "Key",
    "keys.does": "What it does",
    "keys.filter": "go to the filter",
    "keys.rows": "next row, row before",
    "keys.select": "select the row",
    "keys.compare": "compare what is selected",
    "keys.open": "open the row",
    "keys.studies": "go to the studies",
    "keys.new": "go to New study",
    "keys.models": "go to the models",
    "keys.pause": "pause updates, and resume them",
    "keys.help": "show these keys",
}

SCRIPT = (
    "live.on", "live.off", "live.away", "live.gone", "live.trouble", "live.paused", "live.pause", "live.resume", "chart.failed", "ago.now",
    "ago",
)  # fmt: skip
"""What scripts say; the page hands it to them."""
