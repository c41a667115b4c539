# cmake -DSOURCE=... -DOUTPUT=... -P build_info.cmake: writes which commit of SOURCE is built. Run at every build; the file
# changes, and what includes it is compiled again, only when the answer does.
set(commit unknown)
set(number 0)
find_package(Git QUIET)
if(GIT_FOUND AND EXISTS ${SOURCE}/.git)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${SOURCE} describe --always --dirty --exclude * --abbrev=8
                  OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${SOURCE} rev-list --count HEAD
                  OUTPUT_VARIABLE counted OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(described MATCHES "^[0-9a-f]+(-dirty)?$" AND counted MATCHES "^[0-9]+$")
    set(commit ${described})
    set(number ${counted})
  endif()
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[
#include "cli/build_info.h"

const wallaby::cli::BuildInfo wallaby::cli::build_info{"@commit@", @number@};
]])
