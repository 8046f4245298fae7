/* SPDX-License-Identifier: Apache-2.0 */
/* A lock on a file that one process at a time may write. */
#ifndef INSITU_HOST_LOCK_H
#define INSITU_HOST_LOCK_H

#include <insitu/status.h>

typedef struct isgi_lock {
    char *path; /* PATH.lock; NULL: nothing is held */
    int fd;
} isgi_lock;

/* Holds PATH.lock (of the file that links lead to) until isgi_lock_release() or the end of the process, however it
 * ends. A zeroed lock may be released. Where the file system knows no locks, nothing is held and that is no error.
 * Errors: IO (another process holds it, or the folder cannot be written), NOMEM. */
ISG_NODISCARD isg_status isgi_lock_take(isgi_lock *lock, const char *path, isg_error *err);
void isgi_lock_release(isgi_lock *lock);

#endif
