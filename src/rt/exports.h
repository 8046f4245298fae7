/* SPDX-License-Identifier: Apache-2.0 */
/* What the shared runtime exports: all that the public headers declare. Its build includes this before every file, with
 * everything else hidden; in the static library all is hidden, so that who links it does not export it again. */
#ifndef INSITU_SRC_RT_EXPORTS_H
#define INSITU_SRC_RT_EXPORTS_H

#pragma GCC visibility push(default)
#include <insitu/rt.h>
#include <insitu/status.h>
#pragma GCC visibility pop

#endif
