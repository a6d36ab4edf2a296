<?php
// The front controller: every request that nginx does not answer with a file comes here.

use App\Kernel;
use Symfony\Component\HttpFoundation\Request;

// Debian's packages bring their own class loaders; there is no Composer.
require_once 'Symfony/Bundle/FrameworkBundle/autoload.php';
require_once 'Symfony/Bundle/TwigBundle/autoload.php';
require_once 'Symfony/Component/Asset/autoload.php';
require_once 'Symfony/Component/WebLink/autoload.php';
require_once __DIR__.'/../src/Kernel.php';
require_once __DIR__.'/../src/PageController.php';

$kernel = new Kernel('prod', false);
$request = Request::createFromGlobals();
$response = $kernel->handle($request);
$response->send();
$kernel->terminate($request, $response);
