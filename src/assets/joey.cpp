#include "assets/joey.h"

#include <string>

namespace wallaby::assets {

Result<std::unique_ptr<gguf::WeightSource>> open_joey() {
    return gguf::open_gguf(std::make_unique<base::MemorySource>(joey_bytes(), std::string(joey_name)));
}

}  // namespace wallaby::assets
