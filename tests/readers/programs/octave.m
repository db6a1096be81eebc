% Loads MAT files in Octave: see foreign.py. Of a sparse matrix each element is looked up by its place, too.
1;

function said = write_array (folder, name, x)
  dtypes = struct ("double", "<f8", "single", "<f4", "logical", "|b1", "int8", "|i1", "uint8", "|u1", "int16", "<i2", ...
                   "uint16", "<u2", "int32", "<i4", "uint32", "<u4", "int64", "<i8", "uint64", "<u8");
  file = fopen (fullfile (folder, name), "w");
  kind = class (x);
  if (islogical (x))
    kind = "uint8";
  end
  fwrite (file, x, kind);
  fclose (file);
  % As NumPy counts: the last axis is that of neighbours.
  said = sprintf ("\"%s\": [\"%s\", [%d, %d]]", name, dtypes.(class (x)), columns (x), rows (x));
end

while (ischar (path = fgetl (stdin)))
  % The empty line after the request before.
  if (isempty (path))
    continue;
  end
  folder = fgetl (stdin);
  try
    found = load (path);
    name = fieldnames (found){1};
    x = found.(name);
    if (issparse (x))
      looked_up = zeros (size (x));
      for k = 1:numel (x)
        looked_up(k) = x(k);
      end
      said = [write_array(folder, "whole", full (x)) ", " write_array(folder, "looked_up", looked_up)];
      [~] = x * ones (columns (x), 1);
    else
      said = write_array (folder, "whole", x);
    end
    printf ("{%s}\n", said);
  catch problem
    printf ("{\"error\": \"%s\"}\n", regexprep (problem.message, "[\"\\\\\n]", "'"));
  end
  fflush (stdout);
end
