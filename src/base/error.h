/* SPDX-License-Identifier: Apache-2.0 */
/* Filling the caller's error record without stdio. */
#ifndef INSITU_BASE_ERROR_H
#define INSITU_BASE_ERROR_H

#include <insitu/status.h>

/* Records a fixed text and returns `status`, so that `return isgi_error(...)` reads well. err may be NULL. */
isg_status isgi_error(isg_error *err, isg_status status, const char *message, uint64_t offset, int32_t node);

#define ISGI_TRY(call)                                                                                                 \
    do {                                                                                                               \
        isg_status isgi_try_status_ = (call);                                                                          \
        if (isgi_try_status_ != ISG_OK) return isgi_try_status_;                                                       \
    } while (0)

#endif
