/* SPDX-License-Identifier: Apache-2.0 */
/* Modules: parts of the library that need what most machines lack, loaded when they are asked for. */
#ifndef INSITU_HOST_MODULE_H
#define INSITU_HOST_MODULE_H

#include <stddef.h>

/* The path of `relative` to the folder of the running program; 0 where that is not known or does not fit. */
int isgi_beside_program(char *dst, size_t size, const char *relative);

/* The address of `symbol` in the module `file`, which lies beside the program, in ../lib/insitu of that or where it
 * was to be installed; NULL where there is no such module, or none with that symbol. It stays loaded. */
void *isgi_module_symbol(const char *file, const char *symbol);

#endif
