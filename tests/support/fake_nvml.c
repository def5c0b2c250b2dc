/* A stand-in for libnvidia-ml.so.1: devices from the file named by FAKE_NVML_DEVICES, one per line:
 *   name|uuid|bus|total MiB|reserved MiB|used MiB|major|minor|memory clock|bus width|flags|pid
 * flags: "lost" (no handle), "nomem" (memory NotSupported), "v1" (no memory v2), "-".
 * FAKE_NVML_INIT is what nvmlInit returns (18: library and kernel module differ).
 * Structures as in nvml.h; only what modelscan and the tools beside it in the benchmark ask. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int ret;
typedef struct { char name[96], uuid[96], bus[32], flags[16];
                 unsigned long long total, reserved, used;
                 int major, minor; unsigned clock, width, pid; } dev;
static dev devices[64];
static int count = 0;

static void load(void) {
  const char *path = getenv("FAKE_NVML_DEVICES");
  FILE *f = path ? fopen(path, "r") : NULL;
  char line[512];
  count = 0;
  while (f && count < 64 && fgets(line, sizeof line, f)) {
    dev *d = &devices[count];
    memset(d, 0, sizeof *d);
    if (sscanf(line, "%95[^|]|%95[^|]|%31[^|]|%llu|%llu|%llu|%d|%d|%u|%u|%15[^|]|%u", d->name, d->uuid,
               d->bus, &d->total, &d->reserved, &d->used, &d->major, &d->minor, &d->clock,
               &d->width, d->flags, &d->pid) >= 11)
      count++;
  }
  if (f) fclose(f);
}
#define MIB (1024ULL * 1024ULL)
ret nvmlInit_v2(void) {
  const char *code = getenv("FAKE_NVML_INIT");
  load();
  return code ? atoi(code) : 0;
}
ret nvmlInitWithFlags(unsigned flags) { (void)flags; return nvmlInit_v2(); }
ret nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(ret r) {
  return r == 3 ? "Not Supported" : r == 15 ? "GPU is lost"
       : r == 18 ? "Driver/library version mismatch" : "Unknown Error";
}
ret nvmlSystemGetDriverVersion(char *out, unsigned n) { snprintf(out, n, "575.64.03"); return 0; }
ret nvmlSystemGetNVMLVersion(char *out, unsigned n) { snprintf(out, n, "12.575.64"); return 0; }
ret nvmlSystemGetCudaDriverVersion_v2(int *v) { *v = 12090; return 0; }
ret nvmlSystemGetProcessName(unsigned pid, char *out, unsigned n) {
  snprintf(out, n, "process-%u", pid); return 0;
}
ret nvmlDeviceGetCount_v2(unsigned *n) { *n = (unsigned)count; return 0; }
ret nvmlDeviceGetHandleByIndex_v2(unsigned i, dev **h) {
  if ((int)i >= count) return 2;
  if (strstr(devices[i].flags, "lost")) return 15;
  *h = &devices[i];
  return 0;
}
ret nvmlDeviceGetIndex(dev *d, unsigned *i) { *i = (unsigned)(d - devices); return 0; }
ret nvmlDeviceGetName(dev *d, char *out, unsigned n) { snprintf(out, n, "%s", d->name); return 0; }
ret nvmlDeviceGetUUID(dev *d, char *out, unsigned n) { snprintf(out, n, "%s", d->uuid); return 0; }
typedef struct { unsigned long long total, free, used; } mem1;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } mem2;
static unsigned long long spare(dev *d) { return (d->total - d->reserved - d->used) * MIB; }
ret nvmlDeviceGetMemoryInfo(dev *d, mem1 *m) {
  if (strstr(d->flags, "nomem")) return 3;
  m->total = d->total * MIB; m->used = (d->used + d->reserved) * MIB; m->free = spare(d);
  return 0;
}
ret nvmlDeviceGetMemoryInfo_v2(dev *d, mem2 *m) {
  if (strstr(d->flags, "nomem") || strstr(d->flags, "v1")) return 3;
  m->total = d->total * MIB; m->reserved = d->reserved * MIB; m->used = d->used * MIB;
  m->free = spare(d);
  return 0;
}
ret nvmlDeviceGetCudaComputeCapability(dev *d, int *a, int *b) { *a = d->major; *b = d->minor; return 0; }
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char busid[32]; } pci;
ret nvmlDeviceGetPciInfo_v3(dev *d, pci *p) {
  memset(p, 0, sizeof *p);
  snprintf(p->busid, sizeof p->busid, "%s", d->bus);
  snprintf(p->legacy, sizeof p->legacy, "%.15s", d->bus + 4);
  p->id = 0x123410DE;
  return 0;
}
typedef struct { unsigned gpu, memory; } rates;
ret nvmlDeviceGetUtilizationRates(dev *d, rates *r) { (void)d; r->gpu = 7; r->memory = 3; return 0; }
ret nvmlDeviceGetMaxClockInfo(dev *d, unsigned kind, unsigned *v) { (void)kind; *v = d->clock; return d->clock ? 0 : 3; }
ret nvmlDeviceGetMemoryBusWidth(dev *d, unsigned *v) { *v = d->width; return d->width ? 0 : 3; }
ret nvmlDeviceGetTemperature(dev *d, unsigned kind, unsigned *v) { (void)d; (void)kind; *v = 40; return 0; }
typedef struct { unsigned pid; unsigned long long used; unsigned gi, ci; } proc;
static ret processes(dev *d, unsigned *n, proc *p) {
  unsigned have = d->pid ? 1 : 0, room = *n;
  *n = have;
  if (have > room) return 7;
  if (have && p) { p->pid = d->pid; p->used = d->used * MIB; p->gi = p->ci = 0xFFFFFFFF; }
  return 0;
}
ret nvmlDeviceGetComputeRunningProcesses_v3(dev *d, unsigned *n, proc *p) { return processes(d, n, p); }
ret nvmlDeviceGetComputeRunningProcesses_v2(dev *d, unsigned *n, proc *p) { return processes(d, n, p); }
ret nvmlDeviceGetGraphicsRunningProcesses_v3(dev *d, unsigned *n, proc *p) { (void)d; (void)p; *n = 0; return 0; }
ret nvmlDeviceGetGraphicsRunningProcesses_v2(dev *d, unsigned *n, proc *p) { (void)d; (void)p; *n = 0; return 0; }
ret nvmlDeviceGetMigMode(dev *d, unsigned *a, unsigned *b) { (void)d; (void)a; (void)b; return 3; }
ret nvmlDeviceGetP2PStatus(dev *a, dev *b, int caps, int *s) { (void)a; (void)b; (void)caps; *s = 0; return 0; }
