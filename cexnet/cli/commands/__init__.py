"""The commands as they are typed: names, options and their help. The work is done elsewhere.

``live`` has what runs against an exchange, ``files`` what reads and writes recordings,
``machine`` what looks at this machine, ``settings`` configuration and signatures.
"""
