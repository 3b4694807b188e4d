"""The studio: a page that shows the studies of a store while they run, and lets a person pause, stop and extend them.

`luthier studio` starts it. Everything it shows comes from the store, through the floors below; it keeps nothing of its own, so a closed
browser or a killed studio stops nothing. `serve` is the process, `app` its addresses, `guard` who may call them, `looking` and
`columns` what is known of a study, `watch` how a page hears that something changed, `words` all that it says in English.

Needs the extra `studio`.
"""
