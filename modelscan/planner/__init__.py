"""WHICH WAY: quantization x backend x GPUs x context -> Plan or Refusal, with reasons. Pure."""
