"""Huawei Ascend: npu-smi."""
