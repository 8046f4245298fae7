/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the machine's description that tests feed with made-up files. */
#ifndef INSITU_HOST_SYSTEM_H
#define INSITU_HOST_SYSTEM_H

#include <stdint.h>

/* CPUs that the control groups of this process may use, rounded up; 0: no limit known. `membership` has the form of
 * /proc/self/cgroup (versions 1 and 2), `mount` is where the hierarchies are mounted. Every ancestor counts. */
uint32_t isgi_cgroup_cpus(const char *membership, const char *mount);

/* The sum over all packages (FOLDER/intel-rapl:N/energy_uj, N from 0 on; AMD's have that name too). */
uint64_t isgi_powercap_microjoules(const char *folder);

#endif
