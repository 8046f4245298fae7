/* SPDX-License-Identifier: Apache-2.0 */
/* Version numbers of the library, of its ABI and of the file format, which change independently. */
#ifndef INSITU_VERSION_H
#define INSITU_VERSION_H

#define ISG_VERSION_MAJOR 0
#define ISG_VERSION_MINOR 1
#define ISG_VERSION_PATCH 0
#define ISG_VERSION_STRING "0.1.0"
#define ISG_ABI_VERSION 0

#endif
