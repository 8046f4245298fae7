/* SPDX-License-Identifier: Apache-2.0 */
/* Modules: parts of the library that need what most machines lack, loaded when they are asked for. */
#ifndef INSITU_HOST_MODULE_H
#define INSITU_HOST_MODULE_H

/* The address of `symbol` in the module `file`, which lies beside the program or where it was installed; NULL where
 * there is no such module, or none with that symbol. It stays loaded. */
void *isgi_module_symbol(const char *file, const char *symbol);

#endif
