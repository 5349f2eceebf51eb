from vizlib.command_line import main

raise SystemExit(main())
