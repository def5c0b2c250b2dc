"""WHICH WAY: quantization x backend x GPUs x context -> Plan or NoFit, with reasons. Pure."""
