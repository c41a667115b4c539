// What the verbs that write model files from others share.
#pragma once
#include <string>

#include "gguf/set_writer.h"

namespace wallaby::cli {

// A file that is read cannot be the one that is written: what it held would be lost for good.
Result<void> check_differs(const std::string& in, const std::string& out);
Result<void> check_out(const gguf::WeightSource& source, const std::string& out);
// A format that weights can be written in, by its name, for the flag that gave it.
Result<quant::Type> weight_type(const std::string& flag, const std::string& name);
// OUT without its ending: what the names of a set begin with.
std::string prefix_of(const std::string& out);
// Where the tensors of a draft go: the file `out`; or with `keep_split` a set with as many files as the source.
Result<gguf::SetWriter> writer_like(const gguf::WeightSource& source, const gguf::Draft& draft, const std::string& out,
                                    bool keep_split);

}  // namespace wallaby::cli
