// Memory of this process [bytes]: what iOS kills by, or what is resident on Linux; -1 where it cannot be read.
// In C, because Swift 6 refuses mach_task_self_ as shared mutable state.
#ifndef SENTIO_FOOTPRINT_H
#define SENTIO_FOOTPRINT_H

#if defined(__APPLE__)

#include <mach/mach.h>

static inline long long sentio_footprint(void) {
  task_vm_info_data_t info;
  mach_msg_type_number_t count = TASK_VM_INFO_COUNT;
  if (task_info(mach_task_self(), TASK_VM_INFO, (task_info_t)&info, &count) != KERN_SUCCESS) return -1;
  return (long long)info.phys_footprint;
}

#else

#include <stdio.h>
#include <unistd.h>

static inline long long sentio_footprint(void) {
  long long size = 0, resident = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file == NULL) return -1;
  int fields = fscanf(file, "%lld %lld", &size, &resident);
  fclose(file);
  return fields == 2 ? resident * sysconf(_SC_PAGESIZE) : -1;
}

#endif

#endif
