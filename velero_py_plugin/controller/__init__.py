"""The controller process: reconciles DataUpload, DataDownload and BackupRepository objects."""
