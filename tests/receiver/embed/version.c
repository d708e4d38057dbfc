/* The C ABI as find_package() gives it. */
#include <mission_signals/ms.h>
#include <stdio.h>

int main(void) {
    ms_version_info v = MS_VERSION_INFO_INIT;
    if (ms_version(&v) != MS_OK) return 1;
    printf("abi = %u.%u\n", (unsigned)v.abi_major, (unsigned)v.abi_minor);
    return ms_check(NULL, "", NULL);
}
