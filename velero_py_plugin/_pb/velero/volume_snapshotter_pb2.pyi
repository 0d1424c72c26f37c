from velero_py_plugin._pb.velero import shared_pb2 as _shared_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class VolumeSnapshotterInitRequest(_message.Message):
    __slots__ = ("plugin", "config")
    class ConfigEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    plugin: str
    config: _containers.ScalarMap[str, str]
    def __init__(self, plugin: _Optional[str] = ..., config: _Optional[_Mapping[str, str]] = ...) -> None: ...

class CreateVolumeRequest(_message.Message):
    __slots__ = ("plugin", "snapshotID", "volumeType", "volumeAZ", "iops")
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOTID_FIELD_NUMBER: _ClassVar[int]
    VOLUMETYPE_FIELD_NUMBER: _ClassVar[int]
    VOLUMEAZ_FIELD_NUMBER: _ClassVar[int]
    IOPS_FIELD_NUMBER: _ClassVar[int]
    plugin: str
    snapshotID: str
    volumeType: str
    volumeAZ: str
    iops: int
    def __init__(self, plugin: _Optional[str] = ..., snapshotID: _Optional[str] = ..., volumeType: _Optional[str] = ..., volumeAZ: _Optional[str] = ..., iops: _Optional[int] = ...) -> None: ...

class CreateVolumeResponse(_message.Message):
    __slots__ = ("volumeID",)
    VOLUMEID_FIELD_NUMBER: _ClassVar[int]
    volumeID: str
    def __init__(self, volumeID: _Optional[str] = ...) -> None: ...

class GetVolumeInfoRequest(_message.Message):
    __slots__ = ("plugin", "volumeID", "volumeAZ")
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    VOLUMEID_FIELD_NUMBER: _ClassVar[int]
    VOLUMEAZ_FIELD_NUMBER: _ClassVar[int]
    plugin: str
    volumeID: str
    volumeAZ: str
    def __init__(self, plugin: _Optional[str] = ..., volumeID: _Optional[str] = ..., volumeAZ: _Optional[str] = ...) -> None: ...

class GetVolumeInfoResponse(_message.Message):
    __slots__ = ("volumeType", "iops")
    VOLUMETYPE_FIELD_NUMBER: _ClassVar[int]
    IOPS_FIELD_NUMBER: _ClassVar[int]
    volumeType: str
    iops: int
    def __init__(self, volumeType: _Optional[str] = ..., iops: _Optional[int] = ...) -> None: ...

class CreateSnapshotRequest(_message.Message):
    __slots__ = ("plugin", "volumeID", "volumeAZ", "tags")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    VOLUMEID_FIELD_NUMBER: _ClassVar[int]
    VOLUMEAZ_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    plugin: str
    volumeID: str
    volumeAZ: str
    tags: _containers.ScalarMap[str, str]
    def __init__(self, plugin: _Optional[str] = ..., volumeID: _Optional[str] = ..., volumeAZ: _Optional[str] = ..., tags: _Optional[_Mapping[str, str]] = ...) -> None: ...

class CreateSnapshotResponse(_message.Message):
    __slots__ = ("snapshotID",)
    SNAPSHOTID_FIELD_NUMBER: _ClassVar[int]
    snapshotID: str
    def __init__(self, snapshotID: _Optional[str] = ...) -> None: ...

class DeleteSnapshotRequest(_message.Message):
    __slots__ = ("plugin", "snapshotID")
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOTID_FIELD_NUMBER: _ClassVar[int]
    plugin: str
    snapshotID: str
    def __init__(self, plugin: _Optional[str] = ..., snapshotID: _Optional[str] = ...) -> None: ...

class GetVolumeIDRequest(_message.Message):
    __slots__ = ("plugin", "persistentVolume")
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    PERSISTENTVOLUME_FIELD_NUMBER: _ClassVar[int]
    plugin: str
    persistentVolume: bytes
    def __init__(self, plugin: _Optional[str] = ..., persistentVolume: _Optional[bytes] = ...) -> None: ...

class GetVolumeIDResponse(_message.Message):
    __slots__ = ("volumeID",)
    VOLUMEID_FIELD_NUMBER: _ClassVar[int]
    volumeID: str
    def __init__(self, volumeID: _Optional[str] = ...) -> None: ...

class SetVolumeIDRequest(_message.Message):
    __slots__ = ("plugin", "persistentVolume", "volumeID")
    PLUGIN_FIELD_NUMBER: _ClassVar[int]
    PERSISTENTVOLUME_FIELD_NUMBER: _ClassVar[int]
    VOLUMEID_FIELD_NUMBER: _ClassVar[int]
    plugin: str
    persistentVolume: bytes
    volumeID: str
    def __init__(self, plugin: _Optional[str] = ..., persistentVolume: _Optional[bytes] = ..., volumeID: _Optional[str] = ...) -> None: ...

class SetVolumeIDResponse(_message.Message):
    __slots__ = ("persistentVolume",)
    PERSISTENTVOLUME_FIELD_NUMBER: _ClassVar[int]
    persistentVolume: bytes
    def __init__(self, persistentVolume: _Optional[bytes] = ...) -> None: ...
