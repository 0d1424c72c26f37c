from velero_py_plugin.cli import main

main()
