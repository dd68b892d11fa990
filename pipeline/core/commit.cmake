# Writes OUT, a header that says which commit SOURCE is at ("" outside a git checkout); touched only when that changes.
# cmake -DSOURCE=. -DOUT=commit.h -P commit.cmake
execute_process(COMMAND git -C "${SOURCE}" describe --always --dirty --abbrev=12 --exclude=*
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed OR NOT commit MATCHES "^[0-9a-f]+(-dirty)?$")
  set(commit "")
endif()
file(CONFIGURE OUTPUT "${OUT}" CONTENT "#define FENCELINE_COMMIT \"${commit}\"\n")
