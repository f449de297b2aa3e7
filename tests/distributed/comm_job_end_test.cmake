# Runs PROGRAM with HOW and DEADLINE on RANKS ranks and expects that the job fails within LIMIT
# seconds, that stderr holds a line which matches SAYS and none that matches SAYS_NOT, and that no
# process is left.
execute_process(
  COMMAND mpirun --allow-run-as-root --oversubscribe --mca mpi_yield_when_idle 1 -n ${RANKS}
          ${PROGRAM} ${HOW} ${DEADLINE}
  TIMEOUT ${LIMIT} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE errors)
message("result ${result}\n${output}${errors}")

if(NOT result MATCHES "^[1-9][0-9]*$")
  message(FATAL_ERROR "the job should have failed within ${LIMIT} s, but: ${result}")
endif()
if(NOT errors MATCHES "${SAYS}")
  message(FATAL_ERROR "nothing on stderr matches ${SAYS}")
endif()
if(SAYS_NOT AND errors MATCHES "${SAYS_NOT}")
  message(FATAL_ERROR "stderr matches ${SAYS_NOT}")
endif()
string(REGEX MATCHALL "process [0-9]+" processes "${output}")
list(LENGTH processes count)
if(NOT count EQUAL RANKS)
  message(FATAL_ERROR "${count} of ${RANKS} ranks started")
endif()
# mpirun may return before the kernel has taken down the ranks that it killed; one that lives on
# still does so after five seconds.
foreach(process ${processes})
  string(REPLACE "process " "/proc/" folder "${process}")
  foreach(attempt RANGE 50)
    execute_process(COMMAND cat ${folder}/stat OUTPUT_VARIABLE stat ERROR_QUIET)
    if(NOT stat OR stat MATCHES "[)] Z ")
      set(stat "")
      break()
    endif()
    execute_process(COMMAND ${CMAKE_COMMAND} -E sleep 0.1)
  endforeach()
  if(stat)
    message(FATAL_ERROR "${process} outlived the job: ${stat}")
  endif()
endforeach()
