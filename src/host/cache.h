/* SPDX-License-Identifier: Apache-2.0 */
/* Where results that only this machine needs are kept, and what names the machine. */
#ifndef INSITU_HOST_CACHE_H
#define INSITU_HOST_CACHE_H

#include <stddef.h>

/* The lines of a /proc/cpuinfo at `path` that tell one kind of CPU from another, of its first processor; "unknown"
 * where there are none. Always terminates; returns dst. */
char *isgi_cpu_description(char *dst, size_t size, const char *path);
/* "$XDG_CACHE_HOME/insitu/NAME" or "$HOME/.cache/insitu/NAME", folders made if `make`. 0 where there is no such place
 * or the path is too long. */
int isgi_cache_path(char *dst, size_t size, const char *name, int make);

#endif
